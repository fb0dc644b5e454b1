//! Sources of a text, from Gemini's grounding and citation metadata.
//!
//! Gemini's offsets count bytes of one part; a [`Source`] counts characters of the whole text. An
//! offset outside the text or inside a character is moved to the nearest boundary before it.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::Text;

/// The texts of a response's parts, to find offsets in.
#[derive(Debug, Default)]
pub(crate) struct PartTexts {
    parts: Vec<PartText>,
}

#[derive(Debug, Default)]
struct PartText {
    text: String,
    /// Whether the text is part of the content, and so has characters there.
    shown: bool,
}

impl PartTexts {
    /// A new part.
    pub(crate) fn push(&mut self, text: &str, shown: bool) {
        self.parts.push(PartText { text: text.to_owned(), shown });
    }

    /// More of the last part, if it is of the same kind; a stream cuts one part into many.
    pub(crate) fn extend(&mut self, text: &str, shown: bool) {
        match self.parts.last_mut() {
            Some(last) if last.shown == shown => last.text.push_str(text),
            _ => self.push(text, shown),
        }
    }

    /// Returns the characters of the content before a byte of a part.
    fn characters(&self, part: usize, byte: usize) -> usize {
        let before: usize = self.parts.iter().take(part).filter(|part| part.shown).map(PartText::len).sum();
        let Some(part) = self.parts.get(part).filter(|part| part.shown) else { return before };
        before + part.text.get(..part.text.floor_char_boundary(byte)).map_or(0, |text| text.chars().count())
    }

    /// Returns the characters before a byte of the content as a whole.
    fn characters_of_all(&self, mut byte: usize) -> usize {
        let mut characters = 0;
        for part in self.parts.iter().filter(|part| part.shown) {
            if byte <= part.text.len() {
                return characters
                    + part
                        .text
                        .get(..part.text.floor_char_boundary(byte))
                        .map_or(0, |text| text.chars().count());
            }
            byte -= part.text.len();
            characters += part.len();
        }
        characters
    }
}

impl PartText {
    fn len(&self) -> usize {
        self.text.chars().count()
    }
}

/// A source of a span of the text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    pub(crate) url: String,
    /// May be empty.
    pub(crate) title: String,
    /// First Unicode code point of the span.
    pub(crate) start: usize,
    /// End of the span, exclusive.
    pub(crate) end: usize,
}

/// The sources of a text.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) sources: Vec<Source>,
    /// Distinct web searches.
    pub(crate) searches: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Grounding<'a> {
    #[serde(borrow, rename = "groundingChunks")]
    chunks: Vec<Chunk<'a>>,
    #[serde(rename = "groundingSupports")]
    supports: Vec<Support>,
    #[serde(borrow)]
    web_search_queries: Vec<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Chunk<'a> {
    #[serde(borrow)]
    web: Option<Place<'a>>,
    #[serde(borrow)]
    maps: Option<Place<'a>>,
    #[serde(borrow)]
    retrieved_context: Option<Place<'a>>,
    #[serde(borrow)]
    image: Option<Place<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Place<'a> {
    #[serde(borrow)]
    uri: Option<Text<'a>>,
    #[serde(borrow)]
    source_uri: Option<Text<'a>>,
    #[serde(borrow)]
    title: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Support {
    segment: Segment,
    grounding_chunk_indices: Vec<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Segment {
    #[serde(rename = "partIndex")]
    part: usize,
    #[serde(rename = "startIndex")]
    start: usize,
    #[serde(rename = "endIndex")]
    end: usize,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Citations<'a> {
    #[serde(borrow, alias = "citations")]
    citation_sources: Vec<Citation<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Citation<'a> {
    start_index: usize,
    end_index: usize,
    #[serde(borrow)]
    uri: Option<Text<'a>>,
    #[serde(borrow)]
    title: Option<Text<'a>>,
}

impl Chunk<'_> {
    fn source(&self) -> Option<(&str, &str)> {
        let place =
            [&self.web, &self.maps, &self.retrieved_context, &self.image].into_iter().flatten().next()?;
        let url = place.uri.as_deref().or(place.source_uri.as_deref()).filter(|url| !url.is_empty())?;
        Some((url, place.title.as_deref().unwrap_or_default()))
    }
}

/// Reads `groundingMetadata` and `citationMetadata`. What is not of the expected shape gives no annotations.
pub(crate) fn sources(
    grounding: Option<&RawValue>,
    citations: Option<&RawValue>,
    texts: &PartTexts,
) -> Sources {
    let grounding: Grounding =
        grounding.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let citations: Citations =
        citations.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let mut found = DistinctSources::default();
    for support in &grounding.supports {
        let segment = &support.segment;
        let start = texts.characters(segment.part, segment.start);
        let end = texts.characters(segment.part, segment.end);
        for source in support.grounding_chunk_indices.iter().filter_map(|index| grounding.chunks.get(*index))
        {
            found.add(source.source(), start, end);
        }
    }
    if grounding.supports.is_empty() {
        for chunk in &grounding.chunks {
            found.add(chunk.source(), 0, 0);
        }
    }
    for citation in &citations.citation_sources {
        let source = citation.uri.as_deref().filter(|uri| !uri.is_empty());
        let source = source.map(|uri| (uri, citation.title.as_deref().unwrap_or_default()));
        let start = texts.characters_of_all(citation.start_index);
        found.add(source, start, texts.characters_of_all(citation.end_index));
    }
    let queries: HashSet<&str> = grounding.web_search_queries.iter().map(|query| &**query).collect();
    Sources { sources: found.list, searches: Some(queries.len()).filter(|count| *count > 0) }
}

/// Sources without duplicates.
#[derive(Default)]
struct DistinctSources {
    list: Vec<Source>,
    seen: HashSet<(String, usize, usize)>,
}

impl DistinctSources {
    fn add(&mut self, source: Option<(&str, &str)>, start: usize, end: usize) {
        let Some((url, title)) = source else { return };
        if self.seen.insert((url.to_owned(), start, end)) {
            self.list.push(Source { url: url.to_owned(), title: title.to_owned(), start, end });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(grounding: &str, texts: &PartTexts) -> Vec<(String, usize, usize)> {
        let raw: &RawValue = serde_json::from_str(grounding).unwrap();
        let found = sources(Some(raw), None, texts).sources.into_iter();
        found.map(|source| (source.url, source.start, source.end)).collect()
    }

    #[test]
    fn bytes_of_a_part_become_characters_of_the_content() {
        let mut texts = PartTexts::default();
        texts.push("a thought", false);
        texts.push("Très 🌍 ", true);
        texts.push("über", true);
        let grounding = r#"{"groundingChunks":[{"web":{"uri":"u","title":"t"}},{"maps":{"uri":"m"}},{"image":{"sourceUri":"i"}},{}],
            "groundingSupports":[
              {"segment":{"partIndex":1,"startIndex":6,"endIndex":10},"groundingChunkIndices":[0,1]},
              {"segment":{"partIndex":1,"startIndex":6,"endIndex":10},"groundingChunkIndices":[0]},
              {"segment":{"partIndex":2,"endIndex":5},"groundingChunkIndices":[2,3,9]},
              {"segment":{"partIndex":1,"startIndex":3,"endIndex":999},"groundingChunkIndices":[0]},
              {"segment":{"partIndex":0,"endIndex":3},"groundingChunkIndices":[0]}]}"#;
        let expected = [("u", 5, 6), ("m", 5, 6), ("i", 7, 11), ("u", 2, 7), ("u", 0, 0)];
        let expected: Vec<_> =
            expected.into_iter().map(|(url, start, end)| (url.to_owned(), start, end)).collect();
        assert_eq!(spans(grounding, &texts), expected);
    }

    #[test]
    fn without_supports_every_chunk_is_a_source() {
        let grounding = r#"{"groundingChunks":[{"web":{"uri":"u"}},{"web":{"uri":"u"}},{"retrievedContext":{"title":"no uri"}}]}"#;
        assert_eq!(spans(grounding, &PartTexts::default()), [("u".to_owned(), 0, 0)]);
        assert_eq!(spans(r#"{"groundingChunks":5}"#, &PartTexts::default()), []);
    }

    #[test]
    fn citations_count_over_the_whole_content() {
        let mut texts = PartTexts::default();
        texts.extend("éé", true);
        texts.extend("éé", true);
        let raw: &RawValue = serde_json::from_str(
            r#"{"citationSources":[{"startIndex":2,"endIndex":6,"uri":"u"},{"endIndex":1}]}"#,
        )
        .unwrap();
        let found = sources(None, Some(raw), &texts);
        let source = &found.sources[0];
        assert_eq!((source.start, source.end, found.sources.len()), (1, 3, 1));
        assert_eq!(found.searches, None);
    }
}
