//! Model lists: responses of `models.list` and `models.get` (<https://ai.google.dev/api/models>).

use serde_json::{Value, json};

use crate::refusal::Refusal;
use crate::scenario::embeds;

const USUAL_PAGE: usize = 50;
const LARGEST_PAGE: usize = 1_000;

/// Returns `true` if the model has the method that a path names after its colon.
pub(crate) fn supports(model: &str, method: &str) -> bool {
    methods(model).contains(&method)
        || (embeds(model) && method == "batchEmbedContents")
        || (!embeds(model) && method == "streamGenerateContent")
}

fn methods(model: &str) -> &'static [&'static str] {
    if embeds(model) {
        &["embedContent", "countTokens", "asyncBatchEmbedContent"]
    } else {
        &["generateContent", "countTokens", "createCachedContent", "batchGenerateContent"]
    }
}

/// Returns the description of one model.
pub(crate) fn describe(model: &str) -> Value {
    let embeds = embeds(model);
    let mut entry = json!({
        "name": format!("models/{model}"),
        "version": "001",
        "displayName": display_name(model),
        "description": format!("{} of the mock Gemini server", display_name(model)),
        "inputTokenLimit": if embeds { 8_192 } else { 1_048_576 },
        "outputTokenLimit": if embeds { 1 } else { 65_536 },
        "supportedGenerationMethods": methods(model),
    });
    if let (false, Some(entry)) = (embeds, entry.as_object_mut()) {
        entry.insert("temperature".to_owned(), json!(1));
        entry.insert("topP".to_owned(), json!(0.95));
        entry.insert("topK".to_owned(), json!(64));
        entry.insert("maxTemperature".to_owned(), json!(2));
        entry.insert("thinking".to_owned(), json!(true));
    }
    entry
}

/// Returns `Gemini 3.8 Flash` for `gemini-3.8-flash`.
fn display_name(model: &str) -> String {
    let words = model.split('-').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Returns one page of the list.
pub(crate) fn list(models: &[String], size: Option<&str>, token: Option<&str>) -> Result<Value, Refusal> {
    let size = match size.filter(|size| !size.is_empty()).map(str::parse) {
        None | Some(Ok(0)) => USUAL_PAGE,
        Some(Ok(size)) => LARGEST_PAGE.min(size),
        Some(Err(_)) => return Err(Refusal::invalid_argument("Invalid value at 'page_size' (TYPE_INT32)")),
    };
    let first = match token.filter(|token| !token.is_empty()) {
        None => 0,
        Some(token) => token
            .strip_prefix("from-")
            .and_then(|first| first.parse().ok())
            .filter(|first| *first < models.len())
            .ok_or_else(|| Refusal::invalid_argument("Page token is invalid."))?,
    };
    let shown: Vec<Value> = models.iter().skip(first).take(size).map(|model| describe(model)).collect();
    let mut page = json!({"models": shown});
    let next = first + shown.len();
    if let (true, Some(page)) = (next < models.len(), page.as_object_mut()) {
        page.insert("nextPageToken".to_owned(), json!(format!("from-{next}")));
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_join_up() {
        let models: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        let first = list(&models, Some("2"), None).unwrap();
        assert_eq!(first["models"].as_array().unwrap().len(), 2);
        let second = list(&models, Some("2"), first["nextPageToken"].as_str()).unwrap();
        assert_eq!(second["models"][0]["name"], "models/c");
        assert!(second.get("nextPageToken").is_none());
        assert!(list(&models, None, Some("from-3")).is_err());
        assert!(list(&models, Some("many"), None).is_err());
        assert_eq!(list(&models, None, None).unwrap()["models"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn a_model_has_its_kind_of_methods() {
        assert!(supports("gemini-3.8-flash", "streamGenerateContent"));
        assert!(!supports("gemini-3.8-flash", "embedContent"));
        assert!(supports("gemini-embedding-2", "batchEmbedContents"));
        assert!(!supports("gemini-embedding-2", "generateContent"));
        assert_eq!(describe("gemini-3.8-flash")["displayName"], "Gemini 3.8 Flash");
    }
}
