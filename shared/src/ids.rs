//! Identifiers: short, opaque, safe in a path. They name things and grant nothing.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Declares a newtype over `String` for one kind of identifier.
macro_rules! id {
    ($(#[$meta:meta])* $name:ident, $prefix:literal) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// What every generated id of this kind starts with.
            pub const PREFIX: &'static str = $prefix;

            /// Makes an id from 64 random bits: the prefix and 16 hexadecimal digits.
            #[must_use]
            pub fn from_random(bits: u64) -> Self {
                Self(format!("{}{bits:016x}", Self::PREFIX))
            }

            /// Takes an id as somebody wrote it (a path segment, a stored row).
            pub fn new(id: impl Into<String>) -> Self {
                Self(id.into())
            }

            /// Returns the id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// A pool.
    PoolId,
    "pool-"
);
id!(
    /// A Gemini key in a pool.
    KeyId,
    "key-"
);
id!(
    /// A client key of a pool: its name, never its secret.
    ClientKeyId,
    "ck-"
);
id!(
    /// An admin token: its name, never its secret.
    AdminTokenId,
    "tok-"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_prefixed_and_of_fixed_length() {
        assert_eq!(PoolId::from_random(255).as_str(), "pool-00000000000000ff");
        assert_eq!(KeyId::from_random(u64::MAX).as_str(), "key-ffffffffffffffff");
    }
}
