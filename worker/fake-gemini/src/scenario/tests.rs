//! Tests of scenario parsing and look-ups.

use super::*;

#[test]
fn a_behaviour_is_a_name_or_a_table() {
    let scenario = Scenario::from_toml(
        r#"
        [model_behaviour]
        "gemini-3.8-flash" = "overloaded"
        [[keys]]
        key = "a"
        behaviour = { kind = "cut", after_frames = 2 }
        [[keys]]
        key = "b"
        project = "7"
        model_behaviour = { "gemini-2.5-pro" = "new_users" }
        "#,
    )
    .unwrap();
    let cut = Treatment { after_frames: 2, ..Behaviour::Cut.into() };
    let expected = Scenario::default()
        .model("gemini-3.8-flash", Behaviour::Overloaded)
        .key(KeySpec::new("a", cut))
        .key(KeySpec::new("b", Behaviour::Ok).project("7").model("gemini-2.5-pro", Behaviour::NewUsers));
    assert_eq!(scenario, expected);
    let json = serde_json::to_string(&scenario).unwrap();
    assert_eq!(serde_json::from_str::<Scenario>(&json).unwrap(), scenario);
}

#[test]
fn errors_name_the_invalid_entry() {
    let message = |text| Scenario::from_toml(text).unwrap_err().to_string();
    assert!(message("[[keys]]\nkey='a'\nbehavior='ok'").contains("behavior"));
    assert!(message("[[keys]]\nkey='a'\nbehaviour='oops'").contains("name of a behaviour"));
    assert!(message("[[keys]]\nkey='a'\n[[keys]]\nkey='a'").contains("duplicate"));
    assert!(message("[model_behaviour]\n'gemini-9' = 'ok'").contains("gemini-9"));
}

#[test]
fn limits_of_a_project_take_precedence() {
    let limit = |project: Option<&str>, model: Option<&str>, minute| Limits {
        project: project.map(str::to_owned),
        model: model.map(str::to_owned),
        requests_per_minute: Some(minute),
        ..Limits::default()
    };
    let indexed = Indexed::new(
        Scenario::default().limit(limit(None, Some("m"), 1)).limit(limit(None, None, 2)).limit(limit(
            Some("p"),
            Some("n"),
            3,
        )),
    );
    let minute = |project, model| indexed.limits(project, model).unwrap().requests_per_minute;
    assert_eq!(minute("p", "n"), Some(3));
    assert_eq!(minute("p", "m"), Some(1));
    assert_eq!(minute("q", "n"), Some(2));
}

#[test]
fn a_script_is_used_at_most_as_often_as_configured() {
    let script = Script { marker: Some("hi".into()), times: Some(1), ..Script::default() };
    let indexed = Indexed::new(Scenario::default().script(script));
    assert!(indexed.script("m", None, "ho").is_none());
    assert!(indexed.script("m", None, "hi").is_some());
    assert!(indexed.script("m", None, "hi").is_none());
}
