//! Upstream timeouts, which are settings of the deployment.
//!
//! Gemini advises clients of its slow models to wait for 15 minutes, which the defaults allow.

use std::time::Duration;

use crate::setup::SetupError;

/// Timeouts of an upstream request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamTimeouts {
    /// Maximum time to the headers of a streamed response.
    pub headers: Duration,
    /// Maximum time to the end of a buffered response.
    pub total: Duration,
    /// Idle timeout of a streamed response.
    pub idle: Duration,
}

impl Default for UpstreamTimeouts {
    fn default() -> Self {
        let slow = Duration::from_mins(15);
        Self { headers: slow, total: slow, idle: Duration::from_mins(5) }
    }
}

impl UpstreamTimeouts {
    /// Names of the settings.
    pub const NAMES: [&'static str; 3] =
        ["UPSTREAM_HEADERS_TIMEOUT_S", "UPSTREAM_TOTAL_TIMEOUT_S", "UPSTREAM_IDLE_TIMEOUT_S"];
    /// Maximum of a setting: one day.
    const MAX_S: u64 = 86_400;

    /// Reads the settings. A missing or empty one has its default.
    ///
    /// # Errors
    /// If one is not a number of seconds from 1 to 86400.
    pub fn read(setting: impl Fn(&'static str) -> Option<String>) -> Result<Self, SetupError> {
        let mut timeouts = Self::default();
        let fields = [&mut timeouts.headers, &mut timeouts.total, &mut timeouts.idle];
        for (name, field) in Self::NAMES.into_iter().zip(fields) {
            let Some(text) = setting(name).filter(|text| !text.trim().is_empty()) else { continue };
            let seconds = text.trim().parse().ok().filter(|seconds| (1..=Self::MAX_S).contains(seconds));
            let problem = || {
                SetupError::Setting(format!("{name} is not a number of seconds from 1 to {}", Self::MAX_S))
            };
            *field = Duration::from_secs(seconds.ok_or_else(problem)?);
        }
        Ok(timeouts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &'static str, text: &str) -> Result<UpstreamTimeouts, String> {
        let settings = |asked| (asked == name).then(|| text.to_owned());
        UpstreamTimeouts::read(settings).map_err(|error| error.to_string())
    }

    #[test]
    fn each_setting_has_its_limit_and_its_default() {
        let [headers, total, idle] = UpstreamTimeouts::NAMES;
        let usual = UpstreamTimeouts::default();
        assert_eq!((usual.headers.as_secs(), usual.total.as_secs(), usual.idle.as_secs()), (900, 900, 300));
        let of = |seconds| Duration::from_secs(seconds);
        assert_eq!(read(headers, "7"), Ok(UpstreamTimeouts { headers: of(7), ..usual }));
        assert_eq!(read(total, " 86400 "), Ok(UpstreamTimeouts { total: of(86_400), ..usual }));
        assert_eq!(read(idle, "1"), Ok(UpstreamTimeouts { idle: of(1), ..usual }));
        assert_eq!(read(idle, ""), Ok(usual));
        for name in UpstreamTimeouts::NAMES {
            for text in ["0", "86401", "-1", "1.5", "15m", "x"] {
                let problem = format!("{name} is not a number of seconds from 1 to 86400");
                assert_eq!(read(name, text), Err(problem), "{text}");
            }
        }
    }
}
