//! Adapters: the platforms that the service runs on. They implement the ports and decide nothing;
//! nothing imports them.

#[cfg(target_arch = "wasm32")]
pub mod cloudflare;
#[cfg(not(target_arch = "wasm32"))]
pub mod native;
mod random;

pub use random::SystemRandom;
