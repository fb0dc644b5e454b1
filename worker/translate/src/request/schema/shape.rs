//! Conversion of values between the client's declaration and the older schema channel. Numbers and the
//! order of members are preserved.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::answer::code_fence::without_fence;
use crate::json::Text;
use crate::json::escape;

/// The one member of parameters that are as one text.
pub(super) const WHOLE: &str = "json";

/// How a value at Gemini differs from the client's.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Shape {
    /// Not at all.
    #[default]
    Same,
    /// It is a text which holds an object as JSON.
    Text,
    /// It should be a number, a boolean or null, which a model may write as a text.
    Scalar(&'static str),
    /// Its members differ.
    Object(Vec<(String, Shape)>),
    /// Its elements differ.
    List(Box<Shape>),
    /// One of these, whichever fits.
    AnyOf(Vec<Shape>),
    /// It is an object whose only member [`WHOLE`] is a text which holds the whole as JSON.
    Whole,
}

impl Shape {
    /// Returns an object with these members.
    pub(super) fn object(members: Vec<(String, Self)>) -> Self {
        let members: Vec<_> = members.into_iter().filter(|(_, shape)| *shape != Self::Same).collect();
        if members.is_empty() { Self::Same } else { Self::Object(members) }
    }

    /// Returns a list of these.
    pub(super) fn list(of: Self) -> Self {
        if of == Self::Same { Self::Same } else { Self::List(Box::new(of)) }
    }

    /// One of these, and of those that are one of several themselves.
    pub(super) fn any_of(shapes: Vec<Self>) -> Self {
        let each = |shape| match shape {
            Self::AnyOf(shapes) => shapes,
            shape => vec![shape],
        };
        let mut shapes: Vec<Self> = shapes.into_iter().flat_map(each).collect();
        if shapes.iter().all(|shape| *shape == Self::Same) {
            return Self::Same;
        }
        if shapes.len() == 1 { shapes.pop().unwrap_or_default() } else { Self::AnyOf(shapes) }
    }

    /// Returns a value of Gemini's as the client has declared it; none where it is as it should be.
    pub(crate) fn to_client(&self, value: &RawValue) -> Option<Box<RawValue>> {
        let text = value.get();
        match self {
            Self::Same => None,
            Self::Text => object_in(text),
            Self::Scalar(kind) => scalar_in(text, kind),
            Self::Whole => {
                let Members(members) = read(text)?;
                let [(name, only)] = members.as_slice() else { return None };
                if &**name == WHOLE { object_in(only.get()) } else { None }
            }
            Self::List(_) | Self::Object(_) => self.inside(text, &Self::to_client),
            Self::AnyOf(shapes) if text.starts_with('"') => {
                // A text that may be one stays one, unless it holds an object that may be one too.
                let may_be_text = shapes.contains(&Self::Same);
                let mut tried = shapes.iter().filter(|shape| !may_be_text || matches!(shape, Self::Text));
                tried.find_map(|shape| shape.to_client(value))
            }
            Self::AnyOf(shapes) => Self::nearest(shapes, text)?.to_client(value),
        }
    }

    /// Returns the client's value as it was declared at Gemini; none where it is the same.
    pub(crate) fn to_gemini(&self, value: &RawValue) -> Option<Box<RawValue>> {
        let text = value.get();
        let is_object = text.starts_with('{');
        match self {
            Self::Same | Self::Scalar(_) => None,
            Self::Text => is_object.then(|| raw(quoted(text)))?,
            Self::Whole => is_object.then(|| raw(format!("{{\"{WHOLE}\":{}}}", quoted(text))))?,
            Self::List(_) | Self::Object(_) => self.inside(text, &Self::to_gemini),
            Self::AnyOf(shapes) => match Self::nearest(shapes, text) {
                Some(shape) => shape.to_gemini(value),
                None if shapes.contains(&Self::Text) => Self::Text.to_gemini(value),
                None => None,
            },
        }
    }

    /// Returns the shape that speaks of the most members of an object, or that of a list.
    fn nearest<'s>(shapes: &'s [Self], text: &str) -> Option<&'s Self> {
        if text.starts_with('[') {
            return shapes.iter().find(|shape| matches!(shape, Self::List(_)));
        }
        let Members(members) = read(text)?;
        let known = |shape: &Self| match shape {
            Self::Object(of) => {
                of.iter().filter(|(name, _)| members.iter().any(|(member, _)| **member == **name)).count()
            }
            _ => 0,
        };
        shapes.iter().rev().max_by_key(|shape| known(shape)).filter(|shape| known(shape) > 0)
    }

    /// Returns the elements of a list or the members of an object, each changed by its shape.
    fn inside(
        &self,
        text: &str,
        change: &dyn Fn(&Self, &RawValue) -> Option<Box<RawValue>>,
    ) -> Option<Box<RawValue>> {
        let mut changed = false;
        let mut out = String::with_capacity(text.len());
        match self {
            Self::List(of) => {
                let items: Vec<&RawValue> = read(text)?;
                out.push('[');
                for (place, item) in items.into_iter().enumerate() {
                    let new = change(of, item);
                    changed |= new.is_some();
                    if place > 0 {
                        out.push(',');
                    }
                    out.push_str(new.as_deref().unwrap_or(item).get());
                }
                out.push(']');
            }
            Self::Object(of) => {
                let Members(members) = read(text)?;
                out.push('{');
                for (place, (name, value)) in members.into_iter().enumerate() {
                    let shape = of.iter().find(|(known, _)| **known == *name).map(|(_, shape)| shape);
                    let new = shape.and_then(|shape| change(shape, value));
                    changed |= new.is_some();
                    if place > 0 {
                        out.push(',');
                    }
                    out.push_str(&quoted(&name));
                    out.push(':');
                    out.push_str(new.as_deref().unwrap_or(value).get());
                }
                out.push('}');
            }
            _ => {}
        }
        if changed { raw(out) } else { None }
    }
}

/// The members of an object, in their order.
struct Members<'a>(Vec<(Text<'a>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    serde_json::from_str(text).ok()
}

fn raw(text: String) -> Option<Box<RawValue>> {
    RawValue::from_string(text).ok()
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_else(|_| "\"\"".to_owned())
}

/// Returns the JSON of a text, if that is what it holds.
fn json_in(text: &str) -> Option<Box<RawValue>> {
    let inside: Text<'_> = text.starts_with('"').then(|| read(text))??;
    raw(escape::well_formed_text(inside.trim()).into_owned())
}

fn object_in(text: &str) -> Option<Box<RawValue>> {
    let inside = json_in(text).or_else(|| {
        let inside: Text<'_> = text.starts_with('"').then(|| read(text))??;
        // Nothing said is an object without members.
        let inside = without_fence(&inside).trim();
        raw(if inside.is_empty() { "{}".to_owned() } else { escape::well_formed_text(inside).into_owned() })
    });
    inside.filter(|inside| inside.get().starts_with('{'))
}

fn scalar_in(text: &str, kind: &str) -> Option<Box<RawValue>> {
    let inside = json_in(text).or_else(|| {
        match (kind, text.trim_matches('"').trim().to_ascii_lowercase().as_str()) {
            ("null", "" | "none") => raw("null".to_owned()),
            // As Python writes them.
            ("boolean", word @ ("true" | "false")) => raw(word.to_owned()),
            _ => None,
        }
    })?;
    let value: serde_json::Value = read(inside.get())?;
    let fits = match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => value.is_number(),
    };
    fits.then_some(inside)
}

/// Returns the text of a JSON response, turned back; none where nothing is to be changed.
pub(crate) fn answer_to_client<'t>(shape: &Shape, answer: &'t str) -> Cow<'t, str> {
    let value = RawValue::from_string(answer.trim().to_owned()).ok();
    let turned = value.and_then(|value| shape.to_client(&value));
    turned.map_or(Cow::Borrowed(answer), |turned| Cow::Owned(Box::<str>::from(turned).into_string()))
}
