//! Target of a request: model, method and query parameters.

use serde::Deserialize;

use crate::counts::Purpose;

/// Model and method of a request, from its path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    /// Empty for a listing of models.
    pub model: &'a str,
    /// The part after the colon; `list` or `get` for the two methods without one.
    pub method: &'a str,
    /// Whether the request uses Google's OpenAI-compatible endpoint.
    pub compat: bool,
}

impl Call<'_> {
    /// Returns the list of counts that the request belongs to.
    pub(crate) fn purpose(self) -> Purpose {
        match self.method {
            "list" | "get" | "countTokens" => Purpose::Probe,
            _ => Purpose::Serve,
        }
    }
}

/// The query parameters that the server reads.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Parameters {
    pub key: Option<String>,
    pub alt: Option<String>,
    pub page_size: Option<String>,
    pub page_token: Option<String>,
}
