use std::sync::Mutex;

use super::*;

fn id(profile: &str, url: &str) -> CredentialId {
    CredentialId { profile: profile.parse().unwrap(), url: url.parse().unwrap() }
}

/// A keyring that is missing, slow or working.
enum Behaviour {
    Missing,
    Hangs,
    Works(Mutex<Option<Secret>>),
}

impl CredentialStore for Behaviour {
    fn kind(&self) -> StoreKind {
        StoreKind::Keyring
    }

    fn get(&self, _: &CredentialId) -> Result<Option<Secret>, CredentialError> {
        match self {
            Self::Works(kept) => Ok(kept.lock().unwrap().clone()),
            _ => Err(CredentialError("no store".into())),
        }
    }

    fn set(&self, _: &CredentialId, token: &Secret) -> Result<(), CredentialError> {
        match self {
            Self::Missing => Err(CredentialError("no store".into())),
            Self::Hangs => loop {
                std::thread::park();
            },
            Self::Works(kept) => {
                *kept.lock().unwrap() = Some(token.clone());
                Ok(())
            }
        }
    }

    fn delete(&self, _: &CredentialId) -> Result<(), CredentialError> {
        Ok(())
    }
}

fn credentials(dir: &tempfile::TempDir, keyring: Behaviour, only: Option<StoreKind>) -> Credentials {
    Credentials {
        keyring: Arc::new(keyring),
        file: Arc::new(FileStore::new(dir.path().join("credentials.toml"))),
        only,
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        // The paused clock advances when all tasks are idle, so that the timeout is reached
        // immediately.
        .start_paused(true)
        .build()
        .unwrap();
    let result = runtime.block_on(future);
    runtime.shutdown_background();
    result
}

#[test]
fn a_token_goes_to_the_keyring_and_to_the_file_only_without_one() {
    let dir = tempfile::tempdir().unwrap();
    let (prod, token) = (id("prod", "https://e.com"), Secret::new("padm_1"));
    block_on(async {
        let works = credentials(&dir, Behaviour::Works(Mutex::default()), None);
        assert_eq!(works.set(&prod, &token).await.unwrap(), StoreKind::Keyring);
        assert!(!dir.path().join("credentials.toml").exists());

        let missing = credentials(&dir, Behaviour::Missing, None);
        assert_eq!(missing.set(&prod, &token).await.unwrap(), StoreKind::File);
        assert_eq!(missing.get(StoreKind::File, &prod).await.unwrap(), Some(token.clone()));

        let only = credentials(&dir, Behaviour::Missing, Some(StoreKind::Keyring));
        let error = only.set(&prod, &token).await.unwrap_err();
        assert!(error.to_string().contains("cannot store the token in the keyring"), "{error}");
    });
}

#[test]
fn a_keyring_that_never_answers_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let kept = block_on(async {
        // A running blocking call stops the paused clock from advancing, so it is advanced
        // manually.
        let hangs = credentials(&dir, Behaviour::Hangs, None);
        let set = tokio::spawn(async move { hangs.set(&id("p", "https://e.com"), &Secret::new("t")).await });
        tokio::task::yield_now().await;
        tokio::time::advance(STORE_TIMEOUT).await;
        set.await.unwrap().unwrap()
    });
    assert_eq!(kept, StoreKind::File);
}

#[test]
fn a_file_keeps_one_token_a_profile_and_gives_it_for_its_url_only() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::new(dir.path().join("credentials.toml"));
    let (prod, test) = (id("prod", "https://e.com"), id("test", "http://127.0.0.1:1"));
    store.set(&prod, &Secret::new("padm_prod")).unwrap();
    store.set(&test, &Secret::new("padm_test")).unwrap();
    assert_eq!(store.get(&prod).unwrap().unwrap().expose(), "padm_prod");
    assert_eq!(store.get(&id("prod", "https://evil.com")).unwrap(), None);
    store.delete(&prod).unwrap();
    store.delete(&prod).unwrap();
    assert_eq!(store.get(&prod).unwrap(), None);
    assert_eq!(store.get(&test).unwrap().unwrap().expose(), "padm_test");
    assert_eq!(super::super::file::loose_mode(&dir.path().join("credentials.toml")), None);
}

#[test]
fn a_damaged_file_is_named_without_its_text() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("credentials.toml");
    std::fs::write(&path, "token = padm_canary").unwrap();
    let error = FileStore::new(path).get(&id("p", "https://e.com")).unwrap_err().to_string();
    assert!(error.contains("credentials.toml") && !error.contains("canary"), "{error}");
}
