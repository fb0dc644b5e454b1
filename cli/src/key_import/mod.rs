//! The import of Gemini keys from a file, which `pool create` and `key import` share.

pub mod file;
pub mod probe;
pub mod report;
