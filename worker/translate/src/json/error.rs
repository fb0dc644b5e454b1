//! Errors of parsing a client's JSON body, independent of the protocol.

/// Why a JSON body was not accepted. Paths are as in `messages[0].role`; `None` is the whole body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonError {
    /// The bytes are not a JSON document.
    NotJson,
    /// Nested more than [`JSON_DEPTH`](super::bounds::JSON_DEPTH) levels deep.
    TooDeep,
    /// More values than [`MAX_ELEMENTS`](super::bounds::MAX_ELEMENTS) or
    /// [`MAX_MEMBERS`](super::bounds::MAX_MEMBERS) allow.
    TooManyValues,
    /// A required field is missing; the path names it.
    Missing(String),
    /// A field has another JSON type than expected.
    WrongType {
        /// The field.
        path: Option<String>,
        /// The expected type, with an article ("a string").
        expected: String,
        /// The type that was sent.
        found: String,
    },
    /// A field has a value that its type does not allow.
    WrongValue {
        /// The field.
        path: Option<String>,
    },
}
