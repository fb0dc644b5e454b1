//! Query parameters and paging of the admin API.

use pool_shared::bounds;

use super::AdminError;

/// The query parameters of a request.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Parses a query. Duplicate parameters are rejected, because readers of the first and of the
    /// last one would disagree.
    pub(super) fn parse(query: Option<&str>) -> Result<Self, AdminError> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if pairs.iter().any(|(other, _)| *other == name) {
                return Err(AdminError::Invalid("a query parameter is given twice".to_owned()));
            }
            pairs.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(pairs))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Returns a parameter as a number or boolean.
    pub(super) fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, AdminError> {
        self.get(name).map(|value| value.parse().map_err(|_| invalid_parameter(name))).transpose()
    }

    /// Returns the page size: 1 to [`bounds::PAGE`].
    pub(super) fn limit(&self, default: u32) -> Result<u32, AdminError> {
        let limit = self.parsed("limit")?.unwrap_or(default);
        if (1..=bounds::PAGE).contains(&limit) {
            return Ok(limit);
        }
        Err(AdminError::Invalid(format!("'limit' is a number from 1 to {}", bounds::PAGE)))
    }

    /// Returns the start of the page.
    pub(super) fn cursor(&self, name: &str) -> Result<Option<u64>, AdminError> {
        self.get(name).map(|value| position(value).ok_or_else(|| invalid_parameter(name))).transpose()
    }
}

fn invalid_parameter(name: &str) -> AdminError {
    AdminError::Invalid(format!("the query parameter '{name}' is not valid"))
}

/// Parses a numeric cursor.
pub(super) fn position(cursor: &str) -> Option<u64> {
    let is_one = cursor.len() <= bounds::CURSOR_DIGITS && cursor.bytes().all(|byte| byte.is_ascii_digit());
    cursor.parse().ok().filter(|_| is_one)
}

pub(super) fn foreign_cursor() -> AdminError {
    AdminError::Invalid("invalid cursor".to_owned())
}
