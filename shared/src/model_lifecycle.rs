//! Model lifecycle: names that another model answers, and models that end.
//!
//! A dated table of what was announced. What Google's own pages say also decides how requests are translated
//! ([`answering_model`]); what is known from others only is a warning for operators ([`model_notices`]).

use jiff::Timestamp;
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};

use crate::PoolSettings;

/// A Gemini model of the free tier that is neither answered by another one nor about to end: what examples use.
pub const EXAMPLE_MODEL: &str = "gemini-3.8-flash";

/// What happens to a name.
#[derive(Clone, Copy)]
enum Change {
    /// Another model answers.
    AnsweredBy(&'static str),
    /// No model answers.
    Shutdown,
}

/// Which names a change is about.
#[derive(Clone, Copy)]
enum Names {
    /// This one.
    Exactly(&'static str),
    /// Those that begin with the first text and contain the second one.
    Like(&'static str, &'static str),
}

struct Announcement {
    names: Names,
    change: Change,
    /// Midnight Pacific Time of the day, in Unix seconds: Google tells days, not hours.
    at: i64,
    /// Whether Google's own pages say so.
    documented: bool,
}

const fn routed(name: &'static str, to: &'static str, at: i64, documented: bool) -> Announcement {
    Announcement { names: Names::Exactly(name), change: Change::AnsweredBy(to), at, documented }
}

const fn ended(prefix: &'static str, word: &'static str, at: i64) -> Announcement {
    Announcement { names: Names::Like(prefix, word), change: Change::Shutdown, at, documented: true }
}

const JUN_30: i64 = 1_782_802_800;
const AUG_17: i64 = 1_786_950_000;
const OCT_02: i64 = 1_790_924_400;
const OCT_08: i64 = 1_791_442_800;
const NOV_17: i64 = 1_794_902_400;
const DEC_01: i64 = 1_796_112_000;
const MAY_07_2027: i64 = 1_809_673_200;

/// As of 2026-11-30 (<https://ai.google.dev/gemini-api/docs/deprecations>).
const ANNOUNCEMENTS: &[Announcement] = &[
    routed("gemini-3.5-flash", "gemini-3.6-flash", OCT_08, true),
    routed("gemini-3.7-flash", "gemini-3.8-flash", OCT_08, true),
    routed("gemini-2.5-pro", "gemini-3.8-flash", DEC_01, false),
    routed("gemini-2.5-flash", "gemini-3.5-flash-lite", DEC_01, false),
    ended("gemini-2.5-flash-image", "", OCT_02),
    ended("gemini-3.1-flash-lite", "", MAY_07_2027),
    ended("gemini-3.1-", "-tts-preview", NOV_17),
    ended("gemini-3.1-", "-live-preview", NOV_17),
    ended("imagen-4", "", AUG_17),
    ended("veo-2", "", JUN_30),
    ended("veo-3.0", "", JUN_30),
];

impl Announcement {
    fn is_about(&self, model: &str) -> bool {
        match self.names {
            Names::Exactly(name) => model == name,
            // Images have dates of their own.
            Names::Like(prefix, word) => {
                model.starts_with(prefix)
                    && model.contains(word)
                    && model.contains("-image") == prefix.contains("-image")
            }
        }
    }

    fn message(&self, model: &str) -> String {
        // `strftime` would add its whole formatter to the Worker.
        let day = Offset::UTC.to_datetime(Timestamp::from_second(self.at).unwrap_or_default()).date();
        let source = if self.documented { "" } else { " (not confirmed by Google)" };
        match self.change {
            Change::AnsweredBy(to) => {
                format!("{model} is answered and billed as {to} from {day} on{source}")
            }
            Change::Shutdown => format!("the shutdown date of {model} is {day}{source}"),
        }
    }
}

/// Returns the model that answers under a name, where Google documents that it is another one.
#[must_use]
pub fn answering_model(name: &str, now: Timestamp) -> Option<&'static str> {
    ANNOUNCEMENTS.iter().find_map(|announcement| match announcement.change {
        Change::AnsweredBy(to)
            if announcement.documented
                && now.as_second() >= announcement.at
                && announcement.is_about(name) =>
        {
            Some(to)
        }
        _ => None,
    })
}

/// Returns what was announced about a model, if anything.
#[must_use]
pub fn model_notice(model: &str) -> Option<String> {
    let announcement = ANNOUNCEMENTS.iter().find(|announcement| announcement.is_about(model))?;
    Some(announcement.message(model))
}

/// A warning about a model that a pool's settings name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModelNotice {
    /// Which setting names it: `allowed`, `alias gpt-4o`, `fallback of gemini-x`.
    pub setting: String,
    /// The model.
    pub model: String,
    /// What was announced.
    pub message: String,
}

/// Returns what was announced about the models that a pool's settings name: allowed models, aliases, fallbacks.
#[must_use]
pub fn model_notices(allowed_models: &[String], settings: &PoolSettings) -> Vec<ModelNotice> {
    let suffixes = settings.translation.model_suffixes;
    let allowed = allowed_models.iter().map(|model| ("allowed".to_owned(), model));
    let aliases = settings.aliases.iter().map(|(name, model)| (format!("alias {name}"), model));
    let fallbacks = settings.fallbacks.iter().flat_map(|(model, list)| {
        let own = (model != "*").then(|| (format!("fallbacks of {model}"), model));
        own.into_iter().chain(list.iter().map(move |name| (format!("fallback of {model}"), name)))
    });
    let named = allowed.chain(aliases).chain(fallbacks);
    let noticed = named.filter_map(|(setting, name)| {
        let model = bare(name, suffixes);
        let message = model_notice(model)?;
        Some(ModelNotice { setting, model: model.to_owned(), message })
    });
    noticed.collect()
}

/// Returns the name without what gateways put before it and, where a pool heeds that, without the wishes behind it.
fn bare(name: &str, suffixes: bool) -> &str {
    let mut bare = name.trim();
    for prefix in ["/", "models/", "google/", "gemini/", "openai/", "publishers/google/models/"] {
        bare = bare.strip_prefix(prefix).unwrap_or(bare);
    }
    if !suffixes {
        return bare;
    }
    let bare = bare.split_once(':').map_or(bare, |(model, _)| model);
    let bare = bare.strip_suffix("-nothinking").unwrap_or(bare);
    bare.rsplit_once("-thinking-").map_or(bare, |(model, _)| model)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    #[test]
    fn days_begin_at_midnight_pacific_time() {
        for (seconds, time) in [
            (JUN_30, "2026-06-30T07:00:00Z"),
            (AUG_17, "2026-08-17T07:00:00Z"),
            (OCT_02, "2026-10-02T07:00:00Z"),
            (OCT_08, "2026-10-08T07:00:00Z"),
            (NOV_17, "2026-11-17T08:00:00Z"),
            (DEC_01, "2026-12-01T08:00:00Z"),
            (MAY_07_2027, "2027-05-07T07:00:00Z"),
        ] {
            assert_eq!(seconds, at(time).as_second(), "{time}");
        }
    }

    #[test]
    fn only_what_google_documents_decides_what_answers() {
        let late = at("2027-01-01T00:00:00Z");
        assert_eq!(answering_model("gemini-3.5-flash", late), Some("gemini-3.6-flash"));
        assert_eq!(answering_model("gemini-3.5-flash", at("2026-10-08T06:59:59Z")), None);
        assert_eq!(answering_model("gemini-2.5-pro", late), None);
        assert_eq!(answering_model("gemini-3.1-flash-lite", late), None);
        let told = model_notice("gemini-2.5-pro").unwrap();
        assert_eq!(
            told,
            "gemini-2.5-pro is answered and billed as gemini-3.8-flash from 2026-12-01 on (not confirmed by Google)"
        );
    }

    #[test]
    fn the_example_model_is_here_to_stay() {
        assert_eq!(model_notice(EXAMPLE_MODEL), None);
    }

    #[test]
    fn names_alike_are_told_apart() {
        for model in [
            "gemini-3.5-flash-lite",
            "gemini-2.5-flash-lite",
            "gemini-2.5-flash-preview-tts",
            "gemini-3.1-flash-image",
            "gemini-3.1-flash-lite-image",
            "gemini-3.1-pro-preview",
            "gemini-*",
        ] {
            assert_eq!(model_notice(model), None, "{model}");
        }
        for (model, sign) in [
            ("gemini-2.5-flash-image", "is 2026-10-02"),
            ("gemini-3.1-flash-lite", "is 2027-05-07"),
            ("gemini-3.1-flash-tts-preview", "is 2026-11-17"),
            ("imagen-4.0-ultra-generate-001", "is 2026-08-17"),
            ("gemini-2.5-flash", "from 2026-12-01 on (not confirmed"),
        ] {
            assert!(model_notice(model).unwrap().contains(sign), "{model}");
        }
    }

    #[test]
    fn a_name_is_known_whatever_gateways_put_before_it() {
        for name in
            ["models/x", "/models/x", "google/x", "gemini/x", "openai/x", "publishers/google/models/x", " x "]
        {
            assert_eq!(bare(name, false), "x", "{name}");
        }
    }

    #[test]
    fn every_setting_that_names_a_model_is_looked_at() {
        let settings: PoolSettings = serde_json::from_str(
            r#"{"aliases":{"gpt-4o":"models/gemini-3.5-flash","new":"gemini-3.8-flash","fast":"gemini-3.7-flash-nothinking:online"},
                "fallbacks":{"*":["gemini-2.5-pro"],"gemini-3.7-flash":["gemini-3.8-flash"]},
                "translation":{"model_suffixes":true}}"#,
        )
        .unwrap();
        let allowed = ["gemini-2.5-flash".to_owned(), "gemini-*".to_owned()];
        let notices = model_notices(&allowed, &settings);
        let found: Vec<_> =
            notices.iter().map(|notice| (notice.setting.as_str(), notice.model.as_str())).collect();
        assert_eq!(
            found,
            [
                ("allowed", "gemini-2.5-flash"),
                ("alias fast", "gemini-3.7-flash"),
                ("alias gpt-4o", "gemini-3.5-flash"),
                ("fallback of *", "gemini-2.5-pro"),
                ("fallbacks of gemini-3.7-flash", "gemini-3.7-flash"),
            ]
        );
    }
}
