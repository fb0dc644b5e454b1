//! The parts of a Gemini request that no client protocol knows of: what models can do, tool schemas,
//! names of functions, arguments and results of calls, media types, allowed words, thought signatures.

pub(crate) mod arguments;
pub(crate) mod call;
pub(crate) mod capabilities;
pub(crate) mod ignored_params;
pub(crate) mod media;
pub(crate) mod mime;
pub(crate) mod names;
pub(crate) mod options;
pub(crate) mod repair;
pub(crate) mod results;
pub(crate) mod schema;
pub(crate) mod signatures;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod strict;
pub(crate) mod suffix;
pub(crate) mod thinking;
pub(crate) mod words;

pub use call::{GeminiCall, ResponseContext, resumed_body};
pub use capabilities::{CallLimit, Capabilities, Level, Levels, Thinking};
pub use media::{FetchedMedia, MediaSource, RemoteMedia, invalid_url};
pub use options::TranslateOptions;
pub use repair::{Repair, Repairs};
pub use signatures::{CallSignature, SignatureCache};
pub use suffix::ModelSuffix;
