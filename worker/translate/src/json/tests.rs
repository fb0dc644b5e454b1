use super::*;
use crate::error::ApiError;
use crate::openai::ChatRequest;

#[test]
fn text_borrows_without_escapes_and_survives_half_surrogates() {
    let text: Text = serde_json::from_slice(br#""plain""#).unwrap();
    assert!(matches!(text.0, Cow::Borrowed("plain")));
    let text: Text = serde_json::from_slice(br#""a\nb \ud83d\ude00 \ud83d""#).unwrap();
    assert!(text.starts_with("a\nb \u{1f600} \u{fffd}"));
}

#[test]
fn one_or_many_takes_both_and_nothing_else() {
    let one: OneOrMany<Text> = serde_json::from_str(r#""x""#).unwrap();
    assert_eq!(one, OneOrMany::One(Text("x".into())));
    let many: OneOrMany<Text> = serde_json::from_str(r#"["x","y"]"#).unwrap();
    assert_eq!(many, OneOrMany::Many(vec![Text("x".into()), Text("y".into())]));
    assert!(serde_json::from_str::<OneOrMany<Text>>("5").is_err());
}

#[test]
fn integers_may_be_written_as_floats_only_when_whole() {
    assert_eq!(serde_json::from_str::<Integer>("100.0").unwrap(), Integer(100));
    assert_eq!(serde_json::from_str::<Integer>("18446744073709551615").unwrap(), Integer(u64::MAX.into()));
    assert!(serde_json::from_str::<Integer>("1.5").is_err());
}

#[test]
fn a_wrong_type_is_named_without_its_value() {
    request_object! {
        /// A probe.
        pub struct Probe<'a> {
            /// Probed.
            heat: Decimal,
            /// Probed.
            rows: Vec<OneOrMany<'a, Text<'a>>>,
            /// Probed.
            flag: bool,
        }
    }
    let error = ApiError::from(parse::<Probe>(br#"{"heat":"very secret"}"#).unwrap_err());
    assert_eq!(error.param.as_deref(), Some("heat"));
    assert_eq!(error.code, Some("invalid_type"));
    assert_eq!(error.message, "Invalid type for 'heat': expected a decimal, but got a string instead.");
    let error = ApiError::from(parse::<Probe>(br#"{"rows":["x",[{}]]}"#).unwrap_err());
    assert_eq!(error.param.as_deref(), Some("rows[1][0]"));
    let error = ApiError::from(parse::<Probe>(br#"{"flag":1}"#).unwrap_err());
    assert_eq!(error.message, "Invalid type for 'flag': expected a boolean, but got an integer instead.");
    let error = ApiError::from(parse::<Probe>(b"[]").unwrap_err());
    assert_eq!((error.param.as_deref(), error.code), (None, Some("invalid_type")));
    let error = ApiError::from(parse::<Probe>(b"{").unwrap_err());
    assert_eq!(error.code, None);
    let probe = parse::<Probe>(br#"{"new":[1],"flag":null,"heat":1}"#).unwrap();
    assert_eq!(probe.unknown, ["new"]);
    assert_eq!((probe.flag, probe.heat), (None, Some(Decimal(1.0))));
}

#[test]
fn what_is_wrong_inside_a_content_is_found_there() {
    for (content, path, expected, found) in [
        ("5", "messages[1].content", "a string or an array", "an integer"),
        (r#"{"text": "secret"}"#, "messages[1].content", "a string or an array", "an object"),
        (r#"[{"type": "text", "text": 5}]"#, "messages[1].content[0].text", "a string", "an integer"),
        (r#"[{"type": "text"}, {"type": true}]"#, "messages[1].content[1].type", "a string", "a boolean"),
    ] {
        let rest = r#"{"role": "user", "content": "é\n"}"#;
        for body in [
            format!(r#"{{"messages": [{rest}, {{"role": "user", "content": {content}}}], "model": "m"}}"#),
            format!(r#"{{"messages": [{rest}, {{"content": {content}, "role": "user"}}, {rest}]}}"#),
        ] {
            let error = ChatRequest::parse(body.as_bytes()).unwrap_err();
            let message = format!("Invalid type for '{path}': expected {expected}, but got {found} instead.");
            assert_eq!((error.param.as_deref(), error.message), (Some(path), message), "{body}");
        }
    }
    let error = ChatRequest::parse(b"{\"model\": \"\xff\"}").unwrap_err();
    assert_eq!((error.param, error.code), (None, None));
}
