//! `SSL_CERT_FILE`: the certificates of authorities that are trusted instead of the system's.
//!
//! On Unix other than macOS the TLS library reads the variable itself, together with `SSL_CERT_DIR`; there the file is
//! only checked here, since the library ignores one that cannot be read. On other systems the library does not know it.

use std::fs;
use std::path::{Path, PathBuf};

use reqwest::{Certificate, ClientBuilder};

const VARIABLE: &str = "SSL_CERT_FILE";

/// The file that `SSL_CERT_FILE` names is of no use.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFileError {
    /// It cannot be read.
    #[error("SSL_CERT_FILE: {path} cannot be read: {cause}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// It has no certificate that can be read.
    #[error("SSL_CERT_FILE: {path} holds no certificate in PEM format", path = path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// Makes the clients of a builder trust the certificates of `SSL_CERT_FILE`, if it is set.
///
/// # Errors
/// The file cannot be read, or holds no certificate.
pub(super) fn trust(builder: ClientBuilder) -> Result<ClientBuilder, CertificateFileError> {
    let Some(path) = std::env::var_os(VARIABLE) else { return Ok(builder) };
    if path.is_empty() {
        return Ok(as_if_unset(builder));
    }
    let certificates = read(Path::new(&path))?;
    let is_read_by_the_library = cfg!(all(unix, not(target_vendor = "apple")));
    Ok(if is_read_by_the_library { builder } else { builder.tls_certs_only(certificates) })
}

/// The library takes the empty variable for the name of a file, and finds no certificate.
#[cfg(all(unix, not(target_vendor = "apple")))]
fn as_if_unset(builder: ClientBuilder) -> ClientBuilder {
    let file = openssl_probe::probe().cert_file;
    match file.and_then(|file| read(&file).ok()) {
        Some(certificates) => builder.tls_certs_merge(certificates),
        None => builder,
    }
}

#[cfg(not(all(unix, not(target_vendor = "apple"))))]
fn as_if_unset(builder: ClientBuilder) -> ClientBuilder {
    builder
}

fn read(path: &Path) -> Result<Vec<Certificate>, CertificateFileError> {
    let text =
        fs::read(path).map_err(|cause| CertificateFileError::Unreadable { path: path.to_owned(), cause })?;
    // A file that is no PEM is one without certificates.
    let certificates = Certificate::from_pem_bundle(&text).unwrap_or_default();
    if certificates.is_empty() {
        return Err(CertificateFileError::Empty { path: path.to_owned() });
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("SSL_CERT_FILE") && error.contains("ca.pem cannot be read"), "{error}");
        for text in [
            "",
            "no PEM",
            "-----BEGIN CERTIFICATE-----\n",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ] {
            fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains("ca.pem holds no certificate"), "{text}: {error}");
        }
    }
}
