//! Zero-copy JSON: raw text, strings, numbers and base64 that borrow from the document, structural
//! limits, and writing of strings.
//!
//! # Invariants
//! - A string without escapes is never copied.
//! - No recursion whose depth depends on the input.

pub mod bounds;
pub(crate) mod compact;
mod error;
pub(crate) mod escape;
mod fragment;
mod locate;
mod parse;

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use simdutf8::basic::from_utf8;

pub use error::JsonError;
pub use fragment::Fragment;
pub(crate) use parse::read_inside;
pub use parse::{BYTE_ORDER_MARK, parse, read, well_formed};

/// A JSON string, borrowed from the document unless it holds escapes.
///
/// Half a surrogate pair, which JavaScript happily sends and Rust strings cannot hold, becomes U+FFFD.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl<'a> Text<'a> {
    fn from_bytes(bytes: &'a [u8]) -> Self {
        Text(from_utf8(bytes).map_or_else(|_| Cow::Owned(without_surrogates(bytes)), Cow::Borrowed))
    }

    fn copy_bytes<'b>(bytes: &[u8]) -> Text<'b> {
        Text(Cow::Owned(Text::from_bytes(bytes).0.into_owned()))
    }
}

/// Returns the text of bytes that hold half surrogate pairs in the way of UTF-8, as `serde_json` gives them: one U+FFFD for each.
fn without_surrogates(bytes: &[u8]) -> String {
    let mut valid = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        if let [0xed, 0xa0..=0xbf, _, after @ ..] = rest {
            valid.extend_from_slice("\u{fffd}".as_bytes());
            rest = after;
        } else {
            valid.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&valid).into_owned()
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Text<'de>, E> {
                Ok(Text::from_bytes(bytes))
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Text<'de>, E> {
                Ok(Text::copy_bytes(bytes))
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        // Bytes, not a string: only so does serde_json hand over half surrogates instead of failing.
        deserializer.deserialize_bytes(TextVisitor)
    }
}

/// A JSON string that has not been decoded: it goes into another document as it is, which costs a fraction of
/// decoding it and writing it anew.
#[derive(Debug, Clone, Copy)]
pub struct RawText<'a>(&'a RawValue);

impl<'a> RawText<'a> {
    /// Returns a value, if it is a string.
    pub(super) fn new(value: &'a RawValue) -> Option<Self> {
        value.get().starts_with('"').then_some(Self(value))
    }

    /// Returns `true` if it is `""`.
    #[must_use]
    pub fn is_empty(self) -> bool {
        Fragment::from(self).is_empty()
    }

    /// Returns the JSON, quotes and escapes included.
    #[must_use]
    pub fn raw(self) -> &'a RawValue {
        self.0
    }

    /// Returns the text.
    #[must_use]
    pub fn decode(self) -> Cow<'a, str> {
        Fragment::from(self).into_text()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RawText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        match Self::new(raw) {
            Some(text) => Ok(text),
            // It is none, which this says.
            None => read_inside::<Text, _>(raw).map(|_| Self(raw)),
        }
    }
}

/// The name of an object's member. Unlike [`Text`] it is read as a string, as only so its place can be told in an error.
#[derive(Debug, PartialEq, Eq)]
pub struct Key<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a name")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(KeyVisitor)
    }
}

/// `"a string"` or `["an", "array"]` of `T`, as OpenAI allows it in several places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OneOrMany<'a, T> {
    /// The bare string.
    One(Text<'a>),
    /// The array.
    Many(Vec<T>),
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrManyVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrManyVisitor<T> {
            type Value = OneOrMany<'de, T>;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a string or an array")
            }

            fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
                Ok(OneOrMany::One(Text::from_bytes(bytes)))
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(OneOrMany::One(Text::copy_bytes(bytes)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut many = Vec::new();
                while let Some(item) = items.next_element()? {
                    many.push(item);
                }
                Ok(OneOrMany::Many(many))
            }
        }

        // serde_json answers a request for bytes with a string's bytes or, for `[`, with a sequence; unlike an
        // untagged enum this buffers nothing, so that raw values inside keep their text.
        deserializer.deserialize_bytes(OneOrManyVisitor(PhantomData))
    }
}

/// `"a string"` or `{"an": "object"}` of `T`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameOr<'a, T> {
    /// The bare string.
    Name(Text<'a>),
    /// The object.
    Object(T),
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for NameOr<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for NameOrVisitor<T> {
            type Value = NameOr<'de, T>;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a string or an object")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(NameOr::Name(Text(Cow::Borrowed(text))))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(NameOr::Name(Text(Cow::Owned(text.to_owned()))))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(NameOr::Object)
            }
        }

        deserializer.deserialize_any(NameOrVisitor(PhantomData))
    }
}

/// A whole number; `100.0` counts as one, as JavaScript makes no difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Integer(pub i128);

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IntegerVisitor;

        impl Visitor<'_> for IntegerVisitor {
            type Value = Integer;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("an integer")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Integer, E> {
                Ok(Integer(value.into()))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Integer, E> {
                Ok(Integer(value.into()))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Integer, E> {
                if value.fract() != 0.0 {
                    return Err(E::invalid_type(de::Unexpected::Float(value), &self));
                }
                // Saturates, which the range check of every integer parameter then rejects.
                #[allow(clippy::cast_possible_truncation)]
                Ok(Integer(value as i128))
            }
        }

        deserializer.deserialize_any(IntegerVisitor)
    }
}

/// A limit in tokens, which clients compute and do not always round: `19660.8` is 19661.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Budget(pub i128);

impl<'de> Deserialize<'de> for Budget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Decimal(number) = Decimal::deserialize(deserializer)?;
        // Saturates, and every model's range ends long before whole numbers are lost.
        #[allow(clippy::cast_possible_truncation)]
        Ok(Self(number.round() as i128))
    }
}

/// A number with or without a fraction.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Decimal(pub f64);

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DecimalVisitor;

        // The far end of u64 loses digits as a float; no parameter's range comes near it.
        #[allow(clippy::cast_precision_loss)]
        impl Visitor<'_> for DecimalVisitor {
            type Value = Decimal;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a decimal")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Decimal, E> {
                Ok(Decimal(value as f64))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Decimal, E> {
                Ok(Decimal(value as f64))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Decimal, E> {
                Ok(Decimal(value))
            }
        }

        deserializer.deserialize_any(DecimalVisitor)
    }
}

/// Declares a request object whose every field is optional and which remembers the names it did not know.
///
/// `#[serde(flatten)]` would do the latter by buffering the whole document, and lose raw values on the way.
macro_rules! request_object {
    ($(#[$meta:meta])* pub struct $name:ident<'a> { $($(#[$field_meta:meta])* $field:ident $(= $alias:literal)?: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        pub struct $name<'a> {
            $($(#[$field_meta])* pub $field: Option<$type>,)*
            /// Names of the members that the object does not know, in their order.
            pub unknown: Vec<::std::borrow::Cow<'a, str>>,
        }

        impl<'de: 'a, 'a> ::serde::Deserialize<'de> for $name<'a> {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct ObjectVisitor<'a>(::std::marker::PhantomData<&'a ()>);

                impl<'de: 'a, 'a> ::serde::de::Visitor<'de> for ObjectVisitor<'a> {
                    type Value = $name<'a>;

                    fn expecting(&self, formatter: &mut ::std::fmt::Formatter) -> ::std::fmt::Result {
                        formatter.write_str("an object")
                    }

                    fn visit_map<A: ::serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        let mut object = $name::default();
                        while let Some(key) = map.next_key::<$crate::json::Key<'a>>()? {
                            match &*key.0 {
                                $(stringify!($field) $(| $alias)? => object.$field = map.next_value()?,)*
                                _ => {
                                    map.next_value::<::serde::de::IgnoredAny>()?;
                                    object.unknown.push(key.0);
                                }
                            }
                        }
                        Ok(object)
                    }
                }

                deserializer.deserialize_map(ObjectVisitor(::std::marker::PhantomData))
            }
        }
    };
}
pub(crate) use request_object;

#[cfg(test)]
mod tests;
