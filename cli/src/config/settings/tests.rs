use super::*;

const PROD: &str = "https://prod.example.com";

fn config() -> ConfigFile {
    toml_edit::de::from_str(
        r#"
        default_profile = "prod"
        [profiles.prod]
        url = "https://prod.example.com"
        token_store = "file"
        [profiles.lab]
        url = "http://lab.example.com"
        insecure = true
        token_store = "keyring"
        "#,
    )
    .unwrap()
}

fn flags() -> Overrides {
    Overrides::default()
}

fn url(text: &str) -> ServiceUrl {
    text.parse().unwrap()
}

fn token() -> Secret {
    TokenKind::AdminToken.generate(&[7; TokenKind::RANDOM_BYTES])
}

#[test]
fn flag_beats_environment_beats_profile_beats_default() {
    let env = Env::from([(env::URL, "https://env.example.com"), (env::PROFILE, "lab")]);
    let flagged = Overrides {
        profile: Some("prod".parse().unwrap()),
        url: Some(url("https://flag.example.com")),
        timeout: Some(Duration::from_secs(5)),
        ..flags()
    };
    let cases = [
        (
            &flagged,
            &env,
            "prod",
            Source::Flag("--profile"),
            "https://flag.example.com",
            Source::Flag("--url"),
        ),
        (
            &flags(),
            &env,
            "lab",
            Source::Environment(env::PROFILE),
            "https://env.example.com",
            Source::Environment(env::URL),
        ),
        (
            &flags(),
            &Env::default(),
            "prod",
            Source::ConfigFile,
            PROD,
            Source::Profile("prod".parse().unwrap()),
        ),
    ];
    for (flags, env, profile, profile_source, address, url_source) in cases {
        let settings = Settings::resolve(flags, env, &config()).unwrap();
        assert_eq!(settings.profile, setting(profile.parse().unwrap(), profile_source));
        assert_eq!(settings.url, Some(setting(url(address), url_source)));
    }
    let nothing = Settings::resolve(&flags(), &Env::default(), &ConfigFile::default()).unwrap();
    assert_eq!(nothing.profile, setting(ProfileName::default(), Source::Default));
    assert_eq!(nothing.url, None);
    assert_eq!(nothing.timeout, setting(DEFAULT_TIMEOUT, Source::Default));
    assert_eq!(nothing.service().unwrap_err().code(), Code::NotLoggedIn);
}

#[test]
fn a_profile_s_token_goes_to_that_profile_s_url_only() {
    let settings = Settings::resolve(&flags(), &Env::default(), &config()).unwrap();
    let own = CredentialId { profile: "prod".parse().unwrap(), url: url(PROD) };
    assert_eq!(settings.token_plan(&url(PROD)).unwrap(), TokenPlan::Stored(StoreKind::File, own));
    let elsewhere = url("https://evil.example.com");
    assert_eq!(settings.token_plan(&elsewhere).unwrap(), TokenPlan::Withheld(url(PROD)));
    let unknown = Env::from([(env::PROFILE, "unknown")]);
    let settings = Settings::resolve(&flags(), &unknown, &config()).unwrap();
    assert_eq!(settings.token_plan(&url(PROD)).unwrap(), TokenPlan::Missing);
}

#[test]
fn a_token_of_the_environment_wins_and_is_checked_before_it_travels() {
    let env = Env::from([(env::TOKEN, token().expose())]);
    let settings = Settings::resolve(&flags(), &env, &config()).unwrap();
    assert_eq!(settings.token_plan(&url(PROD)).unwrap(), TokenPlan::Environment(token()));
    for wrong in ["sk-pool-canary", "padm_canary"] {
        let env = Env::from([(env::TOKEN, wrong)]);
        let settings = Settings::resolve(&flags(), &env, &config()).unwrap();
        let error = settings.token_plan(&url(PROD)).unwrap_err();
        assert_eq!(error.exit() as u8, 4);
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}

#[test]
fn plain_http_leaves_this_machine_only_when_it_was_allowed_for_that_url() {
    let resolve = |profile: &str, address: Option<&str>, insecure| {
        let flags =
            Overrides { profile: Some(profile.parse().unwrap()), url: address.map(url), insecure, ..flags() };
        Settings::resolve(&flags, &Env::default(), &config()).unwrap()
    };
    assert!(resolve("lab", None, false).service().is_ok());
    assert!(resolve("prod", Some("http://10.0.0.1"), true).service().is_ok());
    assert!(resolve("prod", Some("http://127.0.0.1:1"), false).service().is_ok());
    for (profile, address) in [("prod", "http://10.0.0.1"), ("lab", "http://other.example.com")] {
        let error = resolve(profile, Some(address), false).service().unwrap_err();
        assert_eq!(error.exit() as u8, 2);
        assert!(error.to_string().contains("--insecure"), "{error}");
    }
}

#[test]
fn a_bad_variable_is_named_without_its_value() {
    let bad =
        [(env::URL, "https://u:canary@e.com"), (env::PROFILE, "canary canary"), (env::CREDENTIALS, "canary")];
    for (name, value) in bad {
        let error = Settings::resolve(&flags(), &Env::from([(name, value)]), &config()).unwrap_err();
        assert_eq!(error.exit() as u8, 2);
        assert!(error.to_string().contains(name) && !error.to_string().contains("canary"), "{error}");
    }
}

#[test]
fn the_login_command_names_what_was_named() {
    let named = Overrides { profile: Some("lab".parse().unwrap()), ..flags() };
    let settings = Settings::resolve(&named, &Env::default(), &config()).unwrap();
    let lab = url("http://lab.example.com");
    assert_eq!(
        settings.login_command(&lab),
        "poolctl login --url http://lab.example.com --profile lab --insecure"
    );
    let settings = Settings::resolve(&flags(), &Env::default(), &config()).unwrap();
    assert_eq!(settings.login_command(&url(PROD)), "poolctl login --url https://prod.example.com");
}
