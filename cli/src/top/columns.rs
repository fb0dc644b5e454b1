//! Table columns of each tab, shared by the screen and the exported formats.

/// The field that a column shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Name,
    State,
    Keys,
    Weight,
    Share,
    Due,
    Trend,
    Rpm,
    RpmNow,
    Tpm,
    Rpd,
    Tpd,
    Requests,
    Failures,
    ErrorRate,
    Attempts,
    AttemptRate,
    Refused,
    RefusedRate,
    PromptTokens,
    CompletionTokens,
    P50,
    P95,
    P99,
    FirstByte,
    FirstByte95,
    LastUsed,
    Tag,
    Project,
    Reason,
    Id,
    At,
    Pool,
    Key,
    Model,
    Verdict,
    Count,
    Message,
    Quota,
    Metric,
    Limit,
    Retry,
    UnknownText,
    ClientKey,
    Hint,
    Created,
    Expires,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The field.
    pub field: Field,
    /// Its title on the screen; in exported formats in lower case.
    pub title: &'static str,
    /// Its width.
    pub width: u16,
    /// Columns with the highest rank are dropped first if there is no room.
    pub rank: u8,
    /// Whether it takes the spare width.
    pub grows: bool,
    /// Whether its cells are right-aligned.
    pub right: bool,
}

const fn text(field: Field, title: &'static str, width: u16, rank: u8) -> Column {
    Column { field, title, width, rank, grows: false, right: false }
}

const fn number(field: Field, title: &'static str, width: u16, rank: u8) -> Column {
    Column { right: true, ..text(field, title, width, rank) }
}

const fn grows(column: Column) -> Column {
    Column { grows: true, ..column }
}

/// Columns of the pools.
pub const POOLS: &[Column] = &[
    grows(text(Field::Name, "POOL", 12, 0)),
    text(Field::State, "STATE", 5, 1),
    number(Field::Keys, "KEYS", 9, 2),
    number(Field::Rpm, "RPM", 6, 1),
    number(Field::RpmNow, "NOW", 5, 9),
    number(Field::ErrorRate, "ERR", 5, 2),
    number(Field::AttemptRate, "ATT/M", 6, 5),
    number(Field::RefusedRate, "REF", 5, 5),
    number(Field::P50, "P50", 6, 4),
    number(Field::P95, "P95", 6, 3),
    number(Field::P99, "P99", 6, 7),
    number(Field::FirstByte, "TTFB", 6, 6),
    number(Field::Tpm, "TPM", 6, 5),
    number(Field::Rpd, "RPD", 6, 5),
    number(Field::Tpd, "TPD", 6, 8),
    number(Field::Requests, "REQS", 6, 10),
    number(Field::Failures, "FAILED", 6, 10),
    number(Field::Attempts, "ATTS", 6, 10),
    number(Field::Refused, "REFUSED", 7, 10),
    text(Field::Trend, "TREND", 20, 6),
];

/// Columns of a pool's keys.
pub const KEYS: &[Column] = &[
    text(Field::Key, "KEY", 10, 0),
    grows(text(Field::Name, "NAME", 8, 4)),
    text(Field::Tag, "TAG", 8, 9),
    text(Field::State, "STATE", 16, 1),
    number(Field::Weight, "WEIGHT", 6, 3),
    number(Field::Share, "SHARE", 5, 3),
    number(Field::Due, "DUE", 5, 3),
    number(Field::Attempts, "ATTS", 6, 2),
    number(Field::Refused, "REFUSED", 7, 2),
    number(Field::Rpm, "RPM", 7, 4),
    number(Field::Rpd, "RPD", 8, 5),
    number(Field::Tpm, "TPM", 9, 6),
    number(Field::Tpd, "TPD", 9, 8),
    number(Field::P50, "P50", 6, 7),
    number(Field::P95, "P95", 6, 7),
    number(Field::P99, "P99", 6, 9),
    number(Field::FirstByte, "TTFB", 6, 8),
    number(Field::LastUsed, "USED", 6, 6),
    text(Field::Reason, "REASON", 24, 10),
    text(Field::Id, "ID", 20, 11),
];

/// Columns of a pool's models.
pub const MODELS: &[Column] = &[
    grows(text(Field::Model, "MODEL", 20, 0)),
    number(Field::Share, "SHARE", 5, 4),
    number(Field::Requests, "REQS", 6, 1),
    number(Field::Failures, "FAILED", 6, 2),
    number(Field::ErrorRate, "ERR", 5, 3),
    number(Field::Attempts, "ATTS", 6, 4),
    number(Field::RefusedRate, "REF", 5, 4),
    number(Field::Rpm, "RPM", 6, 2),
    number(Field::Rpd, "RPD", 6, 5),
    number(Field::Tpm, "TPM", 6, 5),
    number(Field::Tpd, "TPD", 6, 7),
    number(Field::PromptTokens, "IN", 6, 8),
    number(Field::CompletionTokens, "OUT", 6, 8),
    number(Field::P50, "P50", 6, 4),
    number(Field::P95, "P95", 6, 3),
    number(Field::P99, "P99", 6, 6),
    number(Field::FirstByte, "TTFB", 6, 6),
    number(Field::FirstByte95, "TTFB95", 6, 9),
];

/// Columns of the events.
pub const EVENTS: &[Column] = &[
    number(Field::At, "AGO", 6, 0),
    text(Field::Pool, "POOL", 10, 4),
    text(Field::Key, "KEY", 10, 2),
    text(Field::Model, "MODEL", 20, 3),
    text(Field::Verdict, "VERDICT", 15, 1),
    number(Field::Count, "COUNT", 5, 3),
    text(Field::Quota, "QUOTA", 9, 5),
    number(Field::Retry, "RETRY", 6, 8),
    text(Field::ClientKey, "CLIENT KEY", 19, 9),
    text(Field::UnknownText, "TEXT", 7, 10),
    text(Field::Metric, "METRIC", 40, 11),
    text(Field::Limit, "LIMIT", 40, 11),
    grows(text(Field::Message, "MESSAGE", 16, 1)),
];

/// Columns of a pool's client keys.
pub const CLIENT_KEYS: &[Column] = &[
    grows(text(Field::Name, "NAME", 16, 0)),
    text(Field::Hint, "ENDS IN", 7, 1),
    text(Field::Id, "ID", 19, 2),
    number(Field::Requests, "REQS", 6, 2),
    number(Field::ErrorRate, "ERR", 5, 3),
    number(Field::Rpm, "RPM", 6, 3),
    number(Field::Rpd, "RPD", 6, 4),
    number(Field::Created, "AGE", 7, 1),
    number(Field::Expires, "EXPIRES", 7, 1),
];
