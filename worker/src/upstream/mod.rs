//! Upstream requests: timeouts, size limits, egress, and the classification of error responses.

mod egress;
mod exchange;
mod outbound;
mod timeouts;

pub use egress::EgressMemory;
pub(crate) use exchange::{
    MAX_RESPONSE_BYTES, error_in, error_in_response, error_of, fetch, next_chunk, send, sent, start,
};
pub(crate) use outbound::Outbound;
pub use timeouts::UpstreamTimeouts;
