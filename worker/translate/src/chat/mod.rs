//! OpenAI's chat completions: [`request`] maps a request to Gemini's, [`response`] and [`stream`] write
//! the pieces of a response as OpenAI's documents and events.

mod chunks;
pub(crate) mod pacing;
mod parts;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod stream;

pub use pacing::{PacedPiece, Pacer};
pub use request::media::remote_media;
pub use request::to_gemini;
pub use response::{ChatAnswer, chat_response, chat_responses, resumed_response};
pub use stream::ChatStream;
