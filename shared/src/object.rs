//! Reading objects from objects only.
//!
//! serde also reads a struct from an array of its fields' values, in their order, which nobody documents and a new
//! field would break. In: a deserializer. Out: what an object in its place says, or an error.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A value that was read from an object.
struct FromObject<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for FromObject<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
            type Value = FromObject<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(FromObject)
            }
        }

        deserializer.deserialize_map(Object(PhantomData))
    }
}

/// Reads one.
pub fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    FromObject::deserialize(deserializer).map(|FromObject(value)| value)
}

/// Reads one, or `null`.
pub(crate) fn optional<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.map(|FromObject(value)| value))
}

/// Reads a list of them.
pub(crate) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    struct List<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
        type Value = Vec<T>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a sequence of objects")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let mut values = Vec::new();
            while let Some(FromObject(value)) = items.next_element()? {
                values.push(value);
            }
            Ok(values)
        }
    }

    deserializer.deserialize_seq(List(PhantomData))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{ClientKeyCreate, KeyImport, KeyUpdate, PoolCreate, TranslationSettings};

    #[test]
    fn no_struct_is_read_from_an_array() {
        let limits = json!([1, 2, 3, 4]);
        let entry = json!(["AIzaSy", null, 1, "", "", "", {}]);
        assert!(serde_json::from_value::<ClientKeyCreate>(json!({"limits": limits})).is_err());
        assert!(serde_json::from_value::<KeyImport>(json!({"keys": [entry]})).is_err());
        assert!(serde_json::from_value::<KeyUpdate>(json!({"ids": [], "set": [true]})).is_err());
        assert!(serde_json::from_value::<PoolCreate>(json!({"name": "x", "import": [[]]})).is_err());
        assert!(serde_json::from_value::<PoolCreate>(json!({"name": "x", "import": null})).is_ok());
        for patch in [json!({"pacing": ["batches", 1, 2]}), json!({"safety_settings": [["a", "b"]]})] {
            assert!(serde_json::from_value::<TranslationSettings>(patch).is_err());
        }
    }
}
