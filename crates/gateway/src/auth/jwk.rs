//! Selects the usable keys of a JSON Web Key Set (RFC 7517).

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use serde_json::Value;

use super::issuer::Algorithm;

/// The lengths of RSA keys that are accepted. Shorter keys are insecure, longer ones are slow.
const RSA_KEY_BITS: RangeInclusive<usize> = 2048..=8192;
/// The length of a coordinate of P-256, and of an Ed25519 key.
const COORDINATE_BYTES: usize = 32;
/// The length of a coordinate of P-384.
const LONG_COORDINATE_BYTES: usize = 48;

/// The usable keys of an issuer.
#[derive(Default)]
pub(super) struct KeySet(Vec<UsableKey>);

struct UsableKey {
    id: Option<String>,
    /// The accepted algorithms that the key can verify.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl KeySet {
    /// The keys that can verify signatures with one of these algorithms, and the number of other
    /// keys. If two keys have the same id, the first one is used. Keys are parsed one by one, so
    /// that a key of an unknown form does not affect the others.
    pub(super) fn of(keys: Vec<Value>, algorithms: &[Algorithm]) -> (Self, usize) {
        let (mut set, total) = (Vec::new(), keys.len());
        for key in keys {
            let Ok(jwk) = serde_json::from_value::<Jwk>(key) else {
                continue;
            };
            let verifiable: Vec<Algorithm> = algorithms
                .iter()
                .copied()
                .filter(|algorithm| verifies(&jwk, *algorithm))
                .collect();
            if !verifiable.is_empty()
                && let Ok(key) = DecodingKey::from_jwk(&jwk)
            {
                set.push(UsableKey {
                    id: jwk.common.key_id.filter(|id| !id.is_empty()),
                    algorithms: verifiable,
                    key,
                });
            }
        }
        let rejected = total - set.len();
        (Self(set), rejected)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The key for a token: the one with the id that the token names. If the token names none, or
    /// the key has none, it must be the only key for the algorithm.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let fitting = || {
            let keys = self.0.iter();
            keys.filter(|key| key.algorithms.contains(&algorithm))
        };
        let named = fitting().find(|key| id.is_some() && key.id.as_deref() == id);
        let only = || {
            let mut keys = fitting();
            keys.next()
                .filter(|key| keys.next().is_none() && (id.is_none() || key.id.is_none()))
        };
        named.or_else(only).map(|key| &key.key)
    }
}

fn verifies(jwk: &Jwk, algorithm: Algorithm) -> bool {
    let common = &jwk.common;
    let algorithm_name = jsonwebtoken::Algorithm::from(algorithm).into();
    common
        .public_key_use
        .as_ref()
        .is_none_or(|key_use| *key_use == PublicKeyUse::Signature)
        && common
            .key_operations
            .as_ref()
            .is_none_or(|operations| operations.contains(&KeyOperations::Verify))
        && common
            .key_algorithm
            .is_none_or(|name| name == algorithm_name)
        && fits(&jwk.algorithm, algorithm)
}

/// Returns true if the key has the algorithm's type and an accepted length. The library does not
/// check lengths.
fn fits(key: &AlgorithmParameters, algorithm: Algorithm) -> bool {
    let has_length = |text: &str, length: usize| {
        URL_SAFE_NO_PAD
            .decode(text)
            .is_ok_and(|bytes| bytes.len() == length)
    };
    match (algorithm, key) {
        (
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512,
            AlgorithmParameters::RSA(key),
        ) => URL_SAFE_NO_PAD
            .decode(&key.n)
            .is_ok_and(|modulus| RSA_KEY_BITS.contains(&bit_length(&modulus))),
        (Algorithm::Es256, AlgorithmParameters::EllipticCurve(key)) => {
            key.curve == EllipticCurve::P256
                && has_length(&key.x, COORDINATE_BYTES)
                && has_length(&key.y, COORDINATE_BYTES)
        }
        (Algorithm::Es384, AlgorithmParameters::EllipticCurve(key)) => {
            key.curve == EllipticCurve::P384
                && has_length(&key.x, LONG_COORDINATE_BYTES)
                && has_length(&key.y, LONG_COORDINATE_BYTES)
        }
        (Algorithm::EdDsa, AlgorithmParameters::OctetKeyPair(key)) => {
            key.curve == EllipticCurve::Ed25519 && has_length(&key.x, COORDINATE_BYTES)
        }
        _ => false,
    }
}

/// The length of a big-endian number without leading zeros, in bits.
fn bit_length(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    match number.get(zeros) {
        Some(first) => (number.len() - zeros) * 8 - first.leading_zeros() as usize,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rsa(bits: usize) -> Value {
        json!({"kid": "a", "kty": "RSA", "use": "sig", "alg": "RS256", "e": "AQAB", "x5c": ["ignored"],
            "n": URL_SAFE_NO_PAD.encode(vec![0xff; bits / 8])})
    }

    fn with(key: Value, name: &str, value: Value) -> Value {
        let Value::Object(mut key) = key else {
            panic!("not an object")
        };
        key.insert(name.to_owned(), value);
        key.into()
    }

    fn count(keys: &[Value], algorithm: Algorithm) -> usize {
        KeySet::of(keys.to_vec(), &[algorithm]).0.len()
    }

    #[test]
    fn only_keys_of_the_algorithm_are_usable() {
        let point = URL_SAFE_NO_PAD.encode([7; 32]);
        let ec = json!({"kid": "b", "kty": "EC", "crv": "P-256", "x": point, "y": point});
        let ed = json!({"kid": "c", "kty": "OKP", "crv": "Ed25519", "x": point});
        let oct = json!({"kid": "d", "kty": "oct", "k": "c2VjcmV0"});
        let all = [
            rsa(2048),
            ec.clone(),
            ed.clone(),
            oct,
            json!("nonsense"),
            json!({"kid": 7}),
        ];
        for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
            let (set, rejected) = KeySet::of(all.to_vec(), &[algorithm]);
            assert_eq!((set.len(), rejected), (1, 5), "{algorithm:?}");
        }
        for bits in [1024, 2040, 8200] {
            assert_eq!(count(&[rsa(bits)], Algorithm::Rs256), 0, "{bits}");
        }
        // Leading zeros do not count.
        let padded = [vec![0; 128], vec![0xff; 128]].concat();
        for bad in [
            with(rsa(2048), "n", json!(URL_SAFE_NO_PAD.encode(padded))),
            with(rsa(2048), "n", json!("")),
            with(rsa(2048), "n", json!("not base64!")),
            with(rsa(2048), "use", json!("enc")),
            with(rsa(2048), "alg", json!("RS512")),
            with(rsa(2048), "alg", json!("unknown")),
            with(rsa(2048), "key_ops", json!(["encrypt"])),
            with(rsa(2048), "kty", json!("oct")),
        ] {
            let keys = std::slice::from_ref(&bad);
            assert_eq!(count(keys, Algorithm::Rs256), 0, "{bad}");
        }
        let other_curve = with(ec.clone(), "crv", json!("P-384"));
        assert_eq!(count(&[other_curve], Algorithm::Es256), 0);
        let short = with(ec, "y", json!("AA"));
        assert_eq!(count(&[short], Algorithm::Es256), 0);
        let other_curve = with(ed, "crv", json!("X25519"));
        assert_eq!(count(&[other_curve], Algorithm::EdDsa), 0);
    }

    #[test]
    fn key_without_id_must_be_the_only_one_for_its_algorithm() {
        let without_id = with(rsa(2048), "kid", json!(""));
        let find = |keys: &[Value], id: Option<&str>| {
            let (set, _) = KeySet::of(keys.to_vec(), &[Algorithm::Rs256, Algorithm::Es256]);
            set.find(id, Algorithm::Rs256).is_some()
        };
        let other = with(rsa(4096), "kid", json!("b"));
        for (keys, id, expected) in [
            (vec![rsa(2048)], Some("a"), true),
            (vec![rsa(2048)], Some("b"), false),
            (vec![rsa(2048)], None, true),
            (vec![without_id.clone()], None, true),
            (vec![without_id.clone()], Some("a"), true),
            (vec![rsa(2048), other.clone()], None, false),
            (vec![rsa(2048), other.clone()], Some("b"), true),
            (vec![without_id, other], Some("a"), false),
        ] {
            assert_eq!(find(&keys, id), expected, "{keys:?} {id:?}");
        }
        let (set, _) = KeySet::of(vec![rsa(2048)], &[Algorithm::Rs256, Algorithm::Rs512]);
        // The key names its algorithm.
        assert!(set.find(Some("a"), Algorithm::Rs512).is_none());
    }

    #[test]
    fn longer_hashes_and_curves_have_keys_of_their_own() {
        let Value::Object(mut any_rsa) = rsa(2048) else {
            panic!("not an object")
        };
        any_rsa.remove("alg");
        let any_rsa = [Value::from(any_rsa)];
        for algorithm in [
            Algorithm::Rs384,
            Algorithm::Rs512,
            Algorithm::Ps256,
            Algorithm::Ps384,
            Algorithm::Ps512,
        ] {
            assert_eq!(count(&any_rsa, algorithm), 1, "{algorithm:?}");
            assert_eq!(count(&[rsa(2048)], algorithm), 0, "{algorithm:?}");
        }
        let point = URL_SAFE_NO_PAD.encode([7; 48]);
        let ec = json!({"kid": "b", "kty": "EC", "crv": "P-384", "x": point, "y": point});
        assert_eq!(count(&[ec], Algorithm::Es384), 1);
    }

    #[test]
    fn bit_length_ignores_leading_zeros() {
        let numbers: [&[u8]; 4] = [&[], &[0], &[0, 1], &[0x80, 0]];
        assert_eq!(numbers.map(bit_length), [0, 0, 1, 16]);
    }
}
