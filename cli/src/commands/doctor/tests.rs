//! Statuses of the checks, and that each failed one has a remedy.

use jiff::Timestamp;
use pool_shared::{AdminTokenId, AuditLoss, ComponentHealth, Health, HealthStatus, WhoAmI};

use super::{
    findings::{Findings, Status},
    pool::own_zone,
    service::{clock, components, token, versions},
};
use crate::{client::ServerInfo, error::CliError};

fn status(findings: &Findings) -> Status {
    findings.0.last().unwrap().status
}

#[test]
fn a_clock_may_be_a_little_off() {
    let now: Timestamp = "2026-11-03T12:00:00Z".parse().unwrap();
    for (service, expected) in [
        ("2026-11-03T12:00:29Z", Status::Pass),
        ("2026-11-03T12:01:00Z", Status::Warn),
        ("2026-11-03T11:00:00Z", Status::Warn),
    ] {
        let mut findings = Findings::default();
        let date = Some(service.parse().unwrap());
        clock(&ServerInfo { date, colo: None }, now, &mut findings);
        assert!(status(&findings) == expected, "{service}");
    }
    let mut findings = Findings::default();
    clock(&ServerInfo::default(), now, &mut findings);
    assert!(findings.0.is_empty());
}

#[test]
fn whatever_is_not_passed_has_a_remedy() {
    let mut findings = Findings::default();
    let identity = |api_version, expires: &str| WhoAmI {
        id: pool_shared::AdminTokenId::new("tok-1"),
        name: "ci".into(),
        scopes: None,
        pool: None,
        expires_at: expires.parse().unwrap(),
        service_version: "0.1.0".into(),
        api_version,
    };
    let now: Timestamp = "2026-11-03T12:00:00Z".parse().unwrap();
    token(&identity(1, "2026-11-05T12:00:00Z"), now, &mut findings);
    versions(&identity(99, "2027-11-05T12:00:00Z"), &mut findings);
    let part = |status| ComponentHealth { status, kind: "d1".into(), message: Some("gone".into()) };
    components(
        &Health {
            status: HealthStatus::Failing,
            version: "0.1.0".into(),
            host: "native".into(),
            store: part(HealthStatus::Failing),
            ledger: part(HealthStatus::Degraded),
            encryption: None,
            unreadable: Vec::new(),
            lost_attempts: 3,
            lost_requests: 0,
            ledger_load: None,
            master_key: None,
            own_zone_reachable: None,
            gemini: None,
            untrusted_proxy: Some([127, 0, 0, 1].into()),
            audit_lost: vec![AuditLoss {
                pool: None,
                actor: AdminTokenId::new("tok-1"),
                actor_name: "ci".into(),
                entries: 2,
                until: now,
            }],
            models: Vec::new(),
        },
        &mut findings,
    );
    findings.error("settings", &CliError::usage("broken"));
    let expected = [
        Status::Warn,
        Status::Fail,
        Status::Fail,
        Status::Warn,
        Status::Warn,
        Status::Warn,
        Status::Warn,
        Status::Fail,
    ];
    assert!(findings.0.iter().map(|check| check.status).eq(expected));
    assert!(findings.0.iter().all(|check| check.remedy.is_some()));
}

#[test]
fn a_pool_that_fetches_is_warned_of_where_the_own_zone_is_within_reach() {
    for (setting, warned) in [
        ("true", true),
        (r#"["a.example"]"#, true),
        (r#"{"gemini":true,"own":["a.example"]}"#, true),
        (r#""gemini""#, false),
        (r#"{"gemini":true}"#, false),
        ("false", false),
    ] {
        let pool = format!(
            r#"{{"id":"pool-1","name":"p","enabled":true,"keys":1,"enabled_keys":1,"version":1,"translation":{{"fetch_media":{setting}}},
                "created_at":"2026-11-03T12:00:00Z","updated_at":"2026-11-03T12:00:00Z"}}"#
        );
        let mut findings = Findings::default();
        own_zone(&serde_json::from_str(&pool).unwrap(), &mut findings);
        assert_eq!(findings.0.len(), usize::from(warned), "{setting}");
    }
}
