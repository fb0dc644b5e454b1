//! Ids, time and model name of a response.

/// What the client of the translation knows and a pure function cannot.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// Fresh random bits for each answer: the seed of the ids that Gemini does not give.
    pub seed: u128,
    /// Now, in Unix seconds.
    pub created_s: u64,
    /// What to show as `model`.
    pub model: AnswerModel,
}

/// What to show as `model`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerModel {
    /// The pool's own name for a model: always shown.
    Alias(String),
    /// The model that was asked for: shown unless Gemini names the exact version.
    Requested(String),
}

impl AnswerModel {
    /// Returns the name to show, given what Gemini says.
    pub(crate) fn shown<'a>(&'a self, version: Option<&'a str>) -> &'a str {
        match self {
            Self::Alias(alias) => alias,
            Self::Requested(requested) => {
                let version = version.map(|version| version.strip_prefix("models/").unwrap_or(version));
                version.filter(|version| !version.is_empty()).unwrap_or(requested)
            }
        }
    }
}

/// Makes ids out of a seed.
#[derive(Debug, Clone)]
pub(crate) struct Ids {
    state: u64,
    step: u64,
}

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// As long as OpenAI's.
const LENGTH: usize = 24;

impl Ids {
    pub(crate) fn new(seed: u128) -> Self {
        // Two halves: where to start and, odd so that no value comes twice, how far to go.
        #[allow(clippy::cast_possible_truncation)]
        Self { state: seed as u64, step: (seed >> 64) as u64 | 1 }
    }

    /// `prefix` and 24 letters and digits.
    pub(crate) fn next(&mut self, prefix: &str) -> String {
        let mut id = String::with_capacity(prefix.len() + LENGTH);
        id.push_str(prefix);
        for _ in 0..LENGTH {
            let letter = ALPHABET.get(usize::try_from(self.next_u64() % 62).unwrap_or_default());
            id.push(letter.copied().map_or('0', char::from));
        }
        id
    }

    /// Generates with splitmix64.
    fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(self.step);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns the id of a response: Gemini's with `prefix`, or a generated one.
    pub(crate) fn response(&mut self, prefix: &str, response_id: Option<&str>) -> String {
        match response_id.filter(|id| !id.is_empty()) {
            Some(id) => format!("{prefix}{id}"),
            None => self.next(prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_depend_on_the_seed_alone() {
        let mut ids = Ids::new(7);
        let (first, second) = (ids.next("call_"), ids.next("call_"));
        assert_ne!(first, second);
        assert_eq!(first.len(), "call_".len() + LENGTH);
        assert_eq!(Ids::new(7).next("call_"), first);
        assert_ne!(Ids::new(8).next("call_"), first);
        assert_eq!(ids.response("chatcmpl-", Some("r1")), "chatcmpl-r1");
    }

    #[test]
    fn an_alias_is_always_shown() {
        let requested = AnswerModel::Requested("gemini-x".into());
        assert_eq!(requested.shown(Some("models/gemini-x-001")), "gemini-x-001");
        assert_eq!(requested.shown(Some("")), "gemini-x");
        assert_eq!(requested.shown(None), "gemini-x");
        assert_eq!(AnswerModel::Alias("gpt-4o".into()).shown(Some("gemini-x")), "gpt-4o");
    }
}
