//! Model ids and the paths made of them.

use std::fmt;

use super::begins_like_secret;
use crate::error::ApiError;

/// The id of a Gemini model, without `models/` but with `tunedModels/`.
///
/// It holds letters, digits, `.`, `_` and `-` only and begins with a letter or digit, so that it can never leave its
/// segment of an upstream path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelId(String);

const TUNED: &str = "tunedModels/";
const MAX_LENGTH: usize = 128;
/// What must follow `openai/` for that prefix to be a gateway's and not a part of the name.
const GOOGLE_FAMILIES: [&str; 7] = ["gemini", "gemma", "imagen", "veo", "nano", "learnlm", "text-embedding"];

impl ModelId {
    /// Reads the model as a client writes it; the prefixes that gateways put before a name are taken off.
    ///
    /// # Errors
    /// 400 for what begins like a secret, 404 `model_not_found` for anything else that cannot be a model's id.
    pub fn parse(name: &str) -> Result<Self, ApiError> {
        let bare = strip_prefixes(name);
        // A secret in the model's place is neither repeated nor counted, and never goes to Gemini.
        let last = bare.rsplit(['/', ':']).next().unwrap_or(bare);
        if begins_like_secret(bare) || begins_like_secret(last) {
            let message = "'model' begins like a secret: send keys in the header 'authorization'.";
            return Err(ApiError::invalid_value("model", message));
        }
        let (prefix, id) = bare.strip_prefix(TUNED).map_or(("", bare), |id| (TUNED, id));
        let well_formed = id.len() <= MAX_LENGTH
            && id.starts_with(|first: char| first.is_ascii_alphanumeric())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        if well_formed { Ok(Self(format!("{prefix}{id}"))) } else { Err(ApiError::model_not_found(name)) }
    }

    /// Returns the id: `gemini-3.8-flash`, `tunedModels/x`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name that Gemini's bodies and paths use: `models/gemini-3.8-flash`, `tunedModels/x`.
    #[must_use]
    pub fn resource(&self) -> String {
        if self.0.starts_with(TUNED) { self.0.clone() } else { format!("models/{}", self.0) }
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn strip_prefixes(name: &str) -> &str {
    let mut bare = name.trim();
    for prefix in ["/", "models/", "google/", "gemini/"] {
        bare = bare.strip_prefix(prefix).unwrap_or(bare);
    }
    if let Some(rest) = bare.strip_prefix("openai/")
        && GOOGLE_FAMILIES.iter().any(|family| rest.starts_with(family))
    {
        bare = rest;
    }
    bare.strip_prefix("publishers/google/models/").unwrap_or(bare)
}

/// What is asked of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// One answer.
    Generate,
    /// A response as server-sent events.
    StreamGenerate,
    /// Vectors.
    BatchEmbed,
}

impl Method {
    /// Returns the path and query, to be put behind the base URL.
    #[must_use]
    pub fn path(self, model: &ModelId) -> String {
        let method = match self {
            Self::Generate => "generateContent",
            Self::StreamGenerate => "streamGenerateContent?alt=sse",
            Self::BatchEmbed => "batchEmbedContents",
        };
        format!("/v1beta/{}:{method}", model.resource())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    #[test]
    fn prefixes_of_gateways_are_taken_off() {
        for name in [
            "gemini-3.8-flash",
            "models/gemini-3.8-flash",
            "/models/gemini-3.8-flash",
            "google/gemini-3.8-flash",
            "gemini/gemini-3.8-flash",
            "openai/gemini-3.8-flash",
            "publishers/google/models/gemini-3.8-flash",
        ] {
            assert_eq!(ModelId::parse(name).unwrap().as_str(), "gemini-3.8-flash", "{name}");
        }
        assert_eq!(ModelId::parse("tunedModels/mine-1").unwrap().resource(), "tunedModels/mine-1");
        assert_eq!(
            Method::StreamGenerate.path(&ModelId::parse("x").unwrap()),
            "/v1beta/models/x:streamGenerateContent?alt=sse"
        );
    }

    #[test]
    fn nothing_leaves_its_path_segment() {
        for name in [
            "",
            ".",
            "..",
            "../files",
            "a/b",
            "models/",
            "x?key=1",
            "x:predict",
            "a b",
            "x%2f",
            "é",
            "tunedModels/../x",
            "-x",
            "openai/gpt-4o",
            "tunedModels/",
            "x#",
            "x\\y",
        ] {
            let error = ModelId::parse(name).unwrap_err();
            assert_eq!(error.code, Some("model_not_found"), "{name}");
        }
        assert!(ModelId::parse(&"x".repeat(129)).is_err());
    }

    #[test]
    fn what_begins_like_a_secret_is_no_model_and_is_not_repeated() {
        for secret in [
            "sk-pool-abc",
            "padm_x",
            "pses_x",
            "AIzaSyA-1234",
            "AQ.Ab8RN6",
            "models/AIzaSyA",
            " gemini/sk-pool-abc",
            "tunedModels/AIzaSyA-1234",
            "openai/padm_x",
            "ya29.abc",
        ] {
            let error = ModelId::parse(secret).unwrap_err();
            assert_eq!(error.status, http::StatusCode::BAD_REQUEST, "{secret}");
            let name = secret.rsplit('/').next().unwrap().trim();
            assert!(!error.message.contains(name), "{}", error.message);
        }
        assert!(ModelId::parse("aqua-1").is_ok());
    }

    proptest! {
        /// Behind whatever prefix: what begins like a secret is rejected, and none of it is told.
        #[test]
        fn nothing_that_begins_like_a_secret_is_a_model(
            before in select(vec!["", "models/", "/models/", "google/", "gemini/", "openai/", "tunedModels/", " "]),
            prefix in select(vec!["sk-pool-", "padm_", "pses_", "AIza", "AQ.", "ya29.", "GOCSPX-"]),
            rest in "[A-Za-z0-9_-]{4,60}",
        ) {
            let error = ModelId::parse(&format!("{before}{prefix}{rest}")).unwrap_err();
            prop_assert_eq!(error.status, http::StatusCode::BAD_REQUEST);
            prop_assert!(!error.message.contains(&format!("{prefix}{rest}")), "{}", error.message);
        }
    }
}
