//! Lookup of a client key by id or name.

use pool_shared::{ClientKey, ErrorCode};

use crate::{
    client::Client,
    ctx::nearest,
    error::{CliError, Code},
    flags::PoolRef,
};

/// Returns the client key of this id, or the only one of this name.
pub async fn find(client: &Client, pool: &PoolRef, wanted: &str) -> Result<ClientKey, CliError> {
    let keys = client.client_keys(pool.as_str()).await?.client_keys;
    choose(&keys, pool, wanted)
}

fn choose(keys: &[ClientKey], pool: &PoolRef, wanted: &str) -> Result<ClientKey, CliError> {
    if let Some(key) = keys.iter().find(|key| key.id.as_str() == wanted) {
        return Ok(key.clone());
    }
    let mut named: Vec<_> = keys.iter().filter(|key| key.name == wanted).collect();
    match (named.pop(), named.is_empty()) {
        (Some(key), true) => Ok(key.clone()),
        (Some(last), false) => {
            let ids: Vec<_> = named.iter().chain([&last]).map(|key| key.id.as_str()).collect();
            Err(CliError::usage(format!("pool {pool} has {} client keys named {wanted}", ids.len()))
                .hint(format!("use an id: {}", ids.join(", "))))
        }
        (None, _) => {
            let code = Code::Service(ErrorCode::NotFound);
            let missing = CliError::new(code, format!("pool {pool} has no client key {wanted}"));
            let known = keys.iter().map(|key| key.name.as_str()).filter(|name| !name.is_empty());
            Err(missing.hint(match nearest(wanted, known) {
                Some(name) => format!("did you mean {name}?"),
                None => format!("poolctl client-key list {pool}"),
            }))
        }
    }
}

#[cfg(test)]
mod tests {
    use pool_shared::{ClientKeyId, ClientKeyRules};

    use super::*;

    fn key(number: u64, name: &str) -> ClientKey {
        ClientKey {
            id: ClientKeyId::from_random(number),
            name: name.to_owned(),
            hint: "abcd".to_owned(),
            created_at: "2026-11-03T12:00:00Z".parse().unwrap(),
            expires_at: None,
            last_used_at: None,
            weak: false,
            rules: ClientKeyRules::default(),
        }
    }

    #[test]
    fn an_id_or_the_only_key_of_a_name_is_found() {
        let keys = || vec![key(1, "laptop"), key(2, "ci"), key(3, "ci"), key(4, "")];
        let pool: PoolRef = "prod".parse().unwrap();
        let found = |wanted: &str| choose(&keys(), &pool, wanted);
        assert_eq!(found("laptop").unwrap().id, ClientKeyId::from_random(1));
        let id = ClientKeyId::from_random(3);
        assert_eq!(found(id.as_str()).unwrap().id, id);
        let several = found("ci").unwrap_err();
        assert_eq!(several.exit() as u8, 2);
        assert!(several.to_string().contains(id.as_str()), "{several}");
        let missing = found("laptpo").unwrap_err();
        assert_eq!(missing.exit() as u8, 5);
        assert!(missing.to_string().contains("did you mean laptop?"), "{missing}");
        assert_eq!(found("").unwrap().id, ClientKeyId::from_random(4));
    }
}
