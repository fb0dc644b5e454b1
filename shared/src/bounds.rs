//! How long texts, lists and times of the admin API may be: what the service enforces, and what the document of
//! the API says.
//!
//! Texts are measured in characters. A control character is one of Unicode's category `Cc`; which ones are invisible, says
//! [`is_visible`](crate::is_visible).

/// The longest name of a pool.
pub const POOL_NAME: usize = 64;
/// The longest description of a pool.
pub const DESCRIPTION: usize = 1_000;
/// The most models in a list, the most aliases, and the most lists of fallbacks.
pub const MODELS: usize = 200;
/// The longest name of a model, of an alias, or of a pattern for either.
pub const MODEL: usize = 128;
/// The most models in one list of fallbacks: no request makes more attempts.
pub const FALLBACKS: usize = 4;
/// The longest name of a client key or of an admin token.
pub const NAME: usize = 100;
/// The longest name, label or project of a key, and the longest text that is searched for.
pub const KEY_TEXT: usize = 100;
/// The most networks that a client key can be kept to.
pub const NETWORKS: usize = 100;
/// The shortest client key of another system that `poolctl` imports without being asked to.
pub const SHORTEST_IMPORTED: usize = 16;
/// The shortest one that the service takes.
pub const SHORTEST_WEAK: usize = 8;
/// The longest client key of another system.
pub const LONGEST_IMPORTED: usize = 512;
/// The longest that a client key with an end can be good for, in seconds: ten years.
pub const CLIENT_KEY_LIFETIME_S: u64 = 3_650 * DAY_S;
/// The longest that a client key for a trial is valid, in seconds: ten minutes, which begins a request.
pub const TRIAL_S: u64 = 600;
/// The longest that a rotated client key continues working, in seconds: 30 days.
pub const GRACE_S: u64 = 30 * DAY_S;
/// The longest that an admin token can be good for, in seconds: 365 days.
pub const TOKEN_LIFETIME_S: u64 = 365 * DAY_S;
/// The longest that a rotated admin token continues working, in seconds: a day.
pub const TOKEN_GRACE_S: u64 = DAY_S;
/// The largest page of a list.
pub const PAGE: u32 = 1_000;
/// The most digits of a cursor that is a number.
pub const CURSOR_DIGITS: usize = 18;
/// The largest limit: the largest whole number that every reader of JSON takes exactly (RFC 7493, 2.2).
pub const LIMIT: u64 = (1 << 53) - 1;
/// The most hosts that media are fetched from.
pub const HOSTS: usize = 100;
/// The longest name of a host (RFC 1035).
pub const HOST: usize = 253;
/// The longest pause between two pieces of paced text, in milliseconds: what a reader still takes for flowing text.
pub const PACING_DELAY_MS: u16 = 200;

const DAY_S: u64 = 24 * 60 * 60;

/// What the bounds above leave open, as regular expressions of ECMA-262 for the document of the API.
#[cfg(feature = "schema")]
pub mod patterns {
    /// What no name holds, as in a class of characters: control characters and invisible ones, see
    /// [`is_visible`](crate::is_visible).
    macro_rules! hidden {
        () => {
            "\\u0000-\\u001f\\u007f-\\u009f\
             \\u00ad\\u034f\\u0600-\\u0605\\u061c\\u06dd\\u070f\\u0890-\\u0891\\u08e2\\u115f-\\u1160\\u17b4-\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u2800\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufffb\u{110bd}\u{110cd}\u{13430}-\u{1343f}\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}"
        };
    }

    /// No control or invisible character.
    pub const PRINTABLE: &str = concat!("^[^", hidden!(), "]*$");
    /// A pool's name: no control or invisible character, no `/`, and not only white space.
    pub const POOL_NAME: &str = concat!("^[^/", hidden!(), "]*[^/\\s", hidden!(), "][^/", hidden!(), "]*$");
    /// What no pool is called, though it has the form of a name: an id, and what a URL's path swallows.
    pub const NO_POOL_NAME: &str = r"^\s*(pool-|\.{1,2}\s*$)";
    /// A pattern for models.
    pub const MODELS: &str = r"^[A-Za-z0-9*._/-]+$";
    /// A model's id.
    pub const MODEL: &str = r"^(tunedModels/)?[A-Za-z0-9][A-Za-z0-9._-]{0,127}$";
    /// A model of Gemini's or Gemma's.
    pub const FAMILY: &str = r"^(gemini|gemma)-[A-Za-z0-9._-]{0,121}$";
    /// Which models a list of fallbacks is for.
    pub const FALLBACK: &str = r"^(\*|(tunedModels/)?[A-Za-z0-9][A-Za-z0-9._-]{0,127})$";
    /// A client key's id.
    pub const CLIENT_KEY_ID: &str = "^ck-[0-9a-f]{16}$";
    /// The end of a client key.
    pub const HINT: &str = "^[!-~]{0,4}$";
    /// A keyed hash.
    pub const HASH: &str = "^[0-9a-f]{64}$";
    /// Visible ASCII.
    pub const VISIBLE: &str = "^[!-~]*$";
    /// A cursor that is a number.
    pub const CURSOR: &str = "^[0-9]{1,18}$";
    /// The cursor of a copy.
    pub const COPY_CURSOR: &str = "^[^:]+:[0-9]{1,18}$";
    /// A host, or with `*.` all hosts below it.
    pub const HOST: &str = r"^(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*$";

    /// Returns an address or a network.
    #[must_use]
    pub fn network() -> String {
        let (byte, word) = ("(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])", "[0-9a-fA-F]{1,4}");
        let v4 = format!(r"({byte}\.){{3}}{byte}");
        let mut v6 = vec![
            format!("({word}:){{7}}{word}"),
            format!("({word}:){{1,7}}:"),
            format!(":(:{word}){{1,7}}"),
            "::".to_owned(),
            format!("::([fF]{{4}}:)?{v4}"),
        ];
        // `::` in the middle means at least one word.
        v6.extend((1..=6).map(|before| format!("({word}:){{1,{before}}}(:{word}){{1,{}}}", 7 - before)));
        let v6 = v6.join("|");
        format!("^({v4}(/(3[0-2]|[12]?[0-9]))?|({v6})(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?)$")
    }
}
