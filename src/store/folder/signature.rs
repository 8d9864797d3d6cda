//! Download links that end: HMAC-SHA256 over the name and the end, with a key that never leaves the folder.

use std::fmt;
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::disk::{Folder, unusable, write_beside};
use crate::error::{Error, Result};
use crate::store::TemplateName;

const KEY_FILE: &str = "download-key";
const KEY_BYTES: usize = 32;

/// The secret that signs download links.
pub(super) struct SigningKey([u8; KEY_BYTES]);

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SigningKey(***)")
    }
}

impl SigningKey {
    pub(super) fn sign(&self, name: &TemplateName, expires_at: i64) -> String {
        URL_SAFE_NO_PAD.encode(self.mac(name, expires_at).finalize().into_bytes())
    }

    pub(super) fn verify(&self, name: &TemplateName, expires_at: i64, signature: &str) -> Result<()> {
        // The signature first: whoever has none learns nothing, not even that a link has ended.
        let given = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
        if self.mac(name, expires_at).verify_slice(&given).is_err() {
            return Err(Error::forbidden("the download link is not valid; ask for a new one"));
        }
        if Timestamp::now().as_second() >= expires_at {
            return Err(Error::forbidden("the download link has expired; ask for a new one"));
        }
        Ok(())
    }

    fn mac(&self, name: &TemplateName, expires_at: i64) -> Hmac<Sha256> {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length");
        // A number, then a line end which no name contains: no two messages are the same text.
        mac.update(format!("bindery template download\n{expires_at}\n{name}").as_bytes());
        mac
    }
}

impl Folder {
    /// The key of this folder, made at its first use.
    pub(super) fn signing_key(&self) -> Result<&SigningKey> {
        if let Some(key) = self.signing_key.get() {
            return Ok(key);
        }
        let folder = self.private_folder()?;
        let key = read_or_create(&folder).map_err(|error| unusable("keep the download key in", error))?;
        let Ok(key) = <[u8; KEY_BYTES]>::try_from(key) else {
            return Err(Error::unavailable(format!(
                "the key of download links is damaged; delete .bindery/{KEY_FILE} in the template store's folder"
            )));
        };
        Ok(self.signing_key.get_or_init(|| SigningKey(key)))
    }
}

fn read_or_create(folder: &Path) -> io::Result<Vec<u8>> {
    let path = folder.join(KEY_FILE);
    match fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        result => return result,
    }
    let file = write_beside(folder, &[])?;
    make_private(file.path())?;
    fs::write(file.path(), random_key())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(&path) {
        // Another process was faster: its key is everybody's.
        Err(error) if error.error.kind() != ErrorKind::AlreadyExists => Err(error.error),
        _ => fs::read(&path),
    }
}

fn make_private(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    fs::set_permissions(path, <Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600))?;
    Ok(())
}

/// 32 bytes out of the 366 random bits of three identifiers from the system's generator.
fn random_key() -> [u8; KEY_BYTES] {
    let mut digest = Sha256::new();
    for _ in 0..3 {
        digest.update(uuid::Uuid::new_v4().as_bytes());
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_signature_is_good_for_its_name_its_end_and_its_key_only() {
        let key = SigningKey([7; KEY_BYTES]);
        let name = TemplateName::parse("ml/a.ipynb").unwrap();
        let other = TemplateName::parse("ml/b.ipynb").unwrap();
        let soon = Timestamp::now().as_second() + 60;
        let signature = key.sign(&name, soon);
        key.verify(&name, soon, &signature).unwrap();
        let swapped = if signature.starts_with('A') { "B" } else { "A" };
        let flipped = format!("{swapped}{}", &signature[1..]);
        for (name, end, signature) in [
            (&other, soon, signature.as_str()),
            (&name, soon + 1, signature.as_str()),
            (&name, soon, flipped.as_str()),
            (&name, soon, &signature[..20]),
            (&name, soon, ""),
            (&name, soon, "not base64 !"),
        ] {
            let error = key.verify(name, end, signature).unwrap_err();
            assert_eq!((error.kind(), error.message().contains("not valid")), (ErrorKind::Forbidden, true));
        }
        assert!(SigningKey([8; KEY_BYTES]).verify(&name, soon, &signature).is_err());
    }

    #[test]
    fn a_signature_ends() {
        let key = SigningKey([7; KEY_BYTES]);
        let name = TemplateName::parse("ml/a.ipynb").unwrap();
        let now = Timestamp::now().as_second();
        let error = key.verify(&name, now, &key.sign(&name, now)).unwrap_err();
        assert!(error.message().contains("expired"), "{error}");
    }

    #[test]
    fn the_key_is_not_printed() {
        assert_eq!(format!("{:?}", SigningKey([42; KEY_BYTES])), "SigningKey(***)");
    }
}
