//! `hashing`: digests, and password hashes as system accounts and web servers read them.

use starlark::environment::GlobalsBuilder;
use starlark::starlark_module;

use md5::Md5;
use sha_crypt::{Params, sha256_crypt, sha512_crypt};
use sha2::{Digest, Sha256, Sha512};

use crate::starlark::stop::Stop;

/// More rounds than this would take minutes.
const MOST_ROUNDS: i32 = 1_000_000;

#[starlark_module]
pub(crate) fn functions(builder: &mut GlobalsBuilder) {
    /// SHA-256 of a text, in hex.
    fn sha256(#[starlark(require = pos)] text: &str) -> starlark::Result<String> {
        Ok(hex(&Sha256::digest(text.as_bytes())))
    }

    /// SHA-512 of a text, in hex.
    fn sha512(#[starlark(require = pos)] text: &str) -> starlark::Result<String> {
        Ok(hex(&Sha512::digest(text.as_bytes())))
    }

    /// MD5 of a text, in hex: for formats that demand it, as `PostgreSQL`'s passwords do.
    fn md5(#[starlark(require = pos)] text: &str) -> starlark::Result<String> {
        Ok(hex(&Md5::digest(text.as_bytes())))
    }

    /// BLAKE3 of a text, in hex.
    ///
    /// ```starlark
    /// def configure(c):
    ///     hashing.blake3("a")[:12]  # gives 17762fddd969
    /// ```
    fn blake3(#[starlark(require = pos)] text: &str) -> starlark::Result<String> {
        Ok(::blake3::hash(text.as_bytes()).to_hex().to_string())
    }

    /// A password as crypt(3) hashes it. The salt must be given, so that the result is the same in every release: up
    /// to 16 of the characters `A-Z a-z 0-9 . /`. `method` is `"sha512"` or `"sha256"`.
    ///
    /// ```starlark
    /// def configure(c):
    ///     hashing.crypt("secret", salt = "Zc1b")[:8]  # gives $6$Zc1b$
    /// ```
    fn crypt(
        #[starlark(require = pos)] password: &str,
        #[starlark(require = named)] salt: &str,
        #[starlark(require = named, default = "sha512")] method: &str,
        #[starlark(require = named, default = 5000)] rounds: i32,
    ) -> starlark::Result<String> {
        Ok(crypted(password, salt, method, rounds)?)
    }
}

fn crypted(password: &str, salt: &str, method: &str, rounds: i32) -> Result<String, Stop> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    if salt.is_empty() || salt.len() > 16 || !salt.bytes().all(allowed) {
        return Err(Stop::mistake("`salt` must be 1 to 16 of the characters `A-Z a-z 0-9 . /`"));
    }
    let wrong = || Stop::mistake(format!("`rounds` must be from 1000 to {MOST_ROUNDS}"));
    let number = u32::try_from(rounds).ok().filter(|_| rounds <= MOST_ROUNDS).ok_or_else(wrong)?;
    let params = Params::new(number).map_err(|_| wrong())?;
    // crypt(3) leaves out the default.
    let rounds = if rounds == 5000 { String::new() } else { format!("rounds={rounds}$") };
    match method {
        "sha512" => {
            let digest = sha512_crypt(password.as_bytes(), salt.as_bytes(), params);
            Ok(format!("$6${rounds}{salt}${}", encoded(&digest, 22, 21)))
        }
        "sha256" => {
            let digest = sha256_crypt(password.as_bytes(), salt.as_bytes(), params);
            Ok(format!("$5${rounds}{salt}${}", encoded(&digest, 21, 10)))
        }
        other => {
            Err(Stop::mistake(format!("there is no method `{other}`")).help("use \"sha512\" or \"sha256\""))
        }
    }
}

/// crypt(3)'s own order and alphabet: three bytes a third apart at a time, of which each group begins `turn` places
/// further, and then what is left. <https://www.akkadia.org/drepper/SHA-crypt.txt>
fn encoded(digest: &[u8], turn: usize, groups: usize) -> String {
    let mut text = String::new();
    let third = groups;
    let cycle = third * 3;
    for group in 0..groups {
        let at = |part: usize| u32::from(digest[(part * third + group * turn) % cycle]);
        push(&mut text, at(0) << 16 | at(1) << 8 | at(2), 4);
    }
    match digest.get(cycle..) {
        Some([last]) => push(&mut text, u32::from(*last), 2),
        Some([first, second]) => push(&mut text, u32::from(*second) << 8 | u32::from(*first), 3),
        _ => {}
    }
    text
}

fn push(text: &mut String, mut bits: u32, characters: usize) {
    const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for _ in 0..characters {
        text.push(char::from(ALPHABET[(bits & 63) as usize]));
        bits >>= 6;
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// From the specification's own test vectors, and `openssl passwd`.
    #[test]
    fn passwords_are_hashed_as_crypt_does() {
        assert_eq!(
            crypted("Hello world!", "saltstring", "sha512", 5000).unwrap(),
            "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
        );
        assert_eq!(
            crypted("Hello world!", "saltstring", "sha256", 5000).unwrap(),
            "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"
        );
        assert_eq!(
            crypted("Hello world!", "saltstringsaltst", "sha512", 10000).unwrap(),
            "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/\
             YTBmSK6H9qs/y3RnOaw5v."
        );
        for (salt, method, rounds, reason) in [
            ("", "sha512", 5000, "`salt` must be"),
            ("a$b", "sha512", 5000, "`salt` must be"),
            ("a", "des", 5000, "`des`"),
            ("a", "sha256", 1, "`rounds` must be"),
        ] {
            let error = crypted("x", salt, method, rounds).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn digests_are_hex() {
        assert_eq!(hex(&Md5::digest(b"")), "d41d8cd98f00b204e9800998ecf8427e");
        assert!(hex(&Sha256::digest(b"abc")).starts_with("ba7816bf8f01cfea"));
    }
}
