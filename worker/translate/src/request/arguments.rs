//! Arguments of calls, converted between the client's declaration and Gemini's.
//!
//! Wrapped or reshaped arguments are converted back in the other direction; all others stay unchanged.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::json::Text;
use crate::json::compact::compact;
use crate::json::escape;
use crate::request::names::{Kind, Names};
use crate::request::results;

/// Returns the arguments of a call of the history, for Gemini.
pub(crate) fn to_gemini<'r>(names: &Names, name: &str, raw: Option<&'r RawValue>) -> Cow<'r, RawValue> {
    let (kind, shape) = names.declaration(name);
    let args = match kind {
        Kind::Wrapped => results::wrapped_arguments(raw),
        Kind::Plain | Kind::Custom => results::arguments(raw),
    };
    shape.to_gemini(&args).map_or(args, Cow::Owned)
}

/// Returns the arguments of a call of Gemini's to a function of this name, for the client: JSON as text.
pub(crate) fn to_client<'a>(names: &Names, name: &str, args: Option<&'a RawValue>) -> Cow<'a, str> {
    let (kind, shape) = names.declaration(name);
    let Some(args) = args.filter(|args| args.get() != "null") else { return Cow::Borrowed("{}") };
    let args = shape.to_client(args).map_or(Cow::Borrowed(args), Cow::Owned);
    let args = match args {
        Cow::Borrowed(args) => {
            Cow::Borrowed(if kind == Kind::Wrapped { unwrapped(args) } else { args }.get())
        }
        Cow::Owned(args) => {
            let args = if kind == Kind::Wrapped { unwrapped(&args) } else { &args };
            Cow::Owned(args.get().to_owned())
        }
    };
    match args {
        Cow::Borrowed(args) => match escape::well_formed_text(args) {
            Cow::Borrowed(args) => compact(args),
            Cow::Owned(args) => Cow::Owned(compact(&args).into_owned()),
        },
        Cow::Owned(args) => Cow::Owned(compact(&escape::well_formed_text(&args)).into_owned()),
    }
}

/// Returns the value that replaces arguments that are no object: that of the only member, if it has the wrapper's name.
fn unwrapped(args: &RawValue) -> &RawValue {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wrapped<'a> {
        // The name is `schema::WRAPPER`.
        #[serde(borrow, rename = "value")]
        inside: &'a RawValue,
    }
    serde_json::from_str::<Wrapped>(args.get()).map_or(args, |wrapped| wrapped.inside)
}

/// Arguments of a call of Gemini's that came in two parts. A member that both have is the later one's. `None` where they
/// are no objects.
pub(crate) fn merged(before: Option<&RawValue>, more: &RawValue) -> Option<Box<RawValue>> {
    let Members(mut members) = match before.filter(|before| before.get() != "null") {
        None => Members::default(),
        Some(before) => serde_json::from_str(before.get()).ok()?,
    };
    let Members(more) = serde_json::from_str(more.get()).ok()?;
    for (name, value) in more {
        match members.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => members.push((name, value)),
        }
    }
    let mut text = String::from("{");
    for (place, (name, value)) in members.iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        text.push_str(&serde_json::to_string(name).ok()?);
        text.push(':');
        text.push_str(value.get());
    }
    text.push('}');
    RawValue::from_string(text).ok()
}

/// The members of an object in their order, their values as they are there: no number loses a digit.
#[derive(Default)]
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// Returns the text of a call to a tool of free text.
pub(crate) fn custom_input<'a>(args: Option<&'a RawValue>, arguments: Cow<'a, str>) -> Cow<'a, str> {
    #[derive(Deserialize)]
    struct Custom<'a> {
        #[serde(borrow)]
        input: Text<'a>,
    }
    let custom = args.and_then(|args| serde_json::from_str::<Custom>(args.get()).ok());
    custom.map_or(arguments, |custom| custom.input.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn names(kind: Kind) -> Names {
        let mut names = Names::default();
        names.declare("f", kind);
        names
    }

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn only_a_lone_wrapper_is_taken_off_and_only_where_it_was_put_on() {
        for (kind, args, expected) in [
            (Kind::Plain, r#"{"value": "v"}"#, r#"{"value":"v"}"#),
            (Kind::Wrapped, r#"{"value": "v"}"#, r#""v""#),
            (Kind::Wrapped, r#"{"value": null}"#, "null"),
            (Kind::Wrapped, r#"{"value": {"value": [1, 2.50]}}"#, r#"{"value":[1,2.50]}"#),
            (Kind::Wrapped, r#"{"file_path": "k", "value": "v"}"#, r#"{"file_path":"k","value":"v"}"#),
            (Kind::Wrapped, "{}", "{}"),
            (Kind::Plain, "null", "{}"),
            (Kind::Plain, r#"{"a":"cut \ud83d"}"#, r#"{"a":"cut \ufffd"}"#),
        ] {
            assert_eq!(to_client(&names(kind), "f", Some(&raw(args))), expected, "{args}");
        }
        assert_eq!(to_client(&names(Kind::Wrapped), "f", None), "{}");
    }

    #[test]
    fn the_history_is_wrapped_as_the_declaration_is() {
        for (kind, args, expected) in [
            (Kind::Plain, json!("{\"a\":1}"), r#"{"a":1}"#),
            (Kind::Wrapped, json!("{\"a\":1}"), r#"{"value":{"a":1}}"#),
            (Kind::Wrapped, json!("[1]"), r#"{"value":[1]}"#),
            (Kind::Wrapped, json!("null"), r#"{"value":null}"#),
            (Kind::Wrapped, json!(" "), "{}"),
            (Kind::Wrapped, json!({"a": 1}), r#"{"value":{"a":1}}"#),
            (Kind::Wrapped, json!("{cut"), r#"{"_raw":"{cut"}"#),
        ] {
            let args = raw(&args.to_string());
            assert_eq!(to_gemini(&names(kind), "f", Some(&args)).get(), expected, "{args}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// A call that a client got and keeps in its history says to Gemini what Gemini said.
        #[test]
        fn wrapping_and_unwrapping_are_inverse(value in any_value(), wrapped in any::<bool>()) {
            let names = names(if wrapped { Kind::Wrapped } else { Kind::Plain });
            let said = if wrapped { json!({"value": value}) } else { json!({"a": value}) }.to_string();
            let delivered = to_client(&names, "f", Some(&raw(&said))).into_owned();
            let kept = raw(&json!(delivered).to_string());
            let again = to_gemini(&names, "f", Some(&kept));
            prop_assert_eq!(again.get(), &said);
            prop_assert_eq!(delivered, if wrapped { value.to_string() } else { said });
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop::sample::select(vec![
            json!(""),
            json!("null"),
            json!("{"),
            json!(1.5),
            json!(u64::MAX),
            json!(null),
            json!({}),
            json!([]),
        ]);
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                (prop::sample::select(vec!["value", "input", "json", "é\"", ""]), inner)
                    .prop_map(|(name, value)| json!({name: value})),
            ]
        })
    }
}
