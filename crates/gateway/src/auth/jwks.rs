//! An issuer's keys: fetched when a token needs one, kept, and asked for anew no more often than an issuer can bear.
//!
//! Border: which keys there are; what a token signed with one says is `jwt`. Nothing a token says leads anywhere: the address
//! is the configuration's, or the issuer's discovery document's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::jwt::{Algorithm, Issuer, is_safe};
use upload_net::HttpClient;
use upload_types::sync::lock;

/// Keys this young are not asked for anew.
const FRESH: Duration = Duration::from_mins(10);
/// Keys this old are trusted no more: the issuer may have withdrawn them while it could not be asked.
const STALE: Duration = Duration::from_hours(24);
/// Between two questions about keys that are there, and between two about one that is not.
const PAUSE: Duration = Duration::from_mins(1);
/// Between two questions while there are no keys at all.
const RETRY: Duration = Duration::from_secs(5);
/// How long an answer may take, and how large it may be: GitHub's has 10 KiB.
const PATIENCE: Duration = Duration::from_secs(5);
const ANSWER_MAX: usize = 64 << 10;
/// RSA keys below are broken, those above are only slow.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

type Set = HashMap<String, DecodingKey>;

/// The keys of one issuer.
pub struct Keys {
    http: HttpClient,
    issuer: String,
    jwks: Option<Url>,
    algorithm: Algorithm,
    state: Mutex<State>,
    /// Who asks the issuer; the others wait for the answer.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    set: Set,
    times: Times,
}

/// When the issuer was asked.
#[derive(Debug, Clone, Copy, Default)]
struct Times {
    /// The last time at all.
    tried: Option<Instant>,
    /// The last time for a key that was not among those at hand.
    searched: Option<Instant>,
    /// When it answered last.
    fetched: Option<Instant>,
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// The issuer has none of that name.
    Unknown,
    /// The issuer does not answer, and what it said before is too old.
    Unreachable,
}

/// What to do about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Use,
    /// Use it, and ask whether it still is one.
    UseAndAsk,
    Ask,
    GiveUp(Absent),
}

/// Decides on a key that is, or is not, among those at hand.
fn step(times: &Times, here: bool, now: Instant) -> Step {
    let since = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
    let rested = |at, pause| since(at).is_none_or(|since| since >= pause);
    let usable = since(times.fetched).is_some_and(|age| age < STALE);
    let answered = times.fetched >= times.tried;
    match (usable, here) {
        (true, true) if rested(times.fetched, FRESH) && rested(times.tried, PAUSE) => {
            Step::UseAndAsk
        }
        (true, true) => Step::Use,
        (true, false) if rested(times.searched, PAUSE) => Step::Ask,
        (true, false) if answered => Step::GiveUp(Absent::Unknown),
        (false, _) if rested(times.tried, RETRY) => Step::Ask,
        _ => Step::GiveUp(Absent::Unreachable),
    }
}

impl Keys {
    pub fn new(http: HttpClient, issuer: &Issuer) -> Self {
        let Issuer {
            issuer,
            jwks,
            algorithm,
            ..
        } = issuer.clone();
        Self {
            http,
            issuer,
            jwks,
            algorithm,
            state: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// The key of that name, asked for if need be.
    ///
    /// # Errors
    /// [`Absent`].
    pub async fn get(self: &Arc<Self>, kid: &str) -> Result<DecodingKey, Absent> {
        match self.look(kid) {
            (Step::Use, Some(key)) => return Ok(key),
            (Step::UseAndAsk, Some(key)) => {
                tokio::spawn(Arc::clone(self).ask(kid.to_owned()));
                return Ok(key);
            }
            // Even one that is to be given up may be in the answer that somebody waits for just now.
            _ => {}
        }
        // In a task of its own: who hangs up does not take the answer away from the others.
        let _ = tokio::spawn(Arc::clone(self).ask(kid.to_owned())).await;
        match self.look(kid) {
            (Step::GiveUp(absent), _) => Err(absent),
            (_, Some(key)) => Ok(key),
            (_, None) => Err(Absent::Unknown),
        }
    }

    fn look(&self, kid: &str) -> (Step, Option<DecodingKey>) {
        let state = self.state();
        let key = state.set.get(kid);
        (
            step(&state.times, key.is_some(), Instant::now()),
            key.cloned(),
        )
    }

    /// Asks the issuer, unless somebody did while this waited to.
    async fn ask(self: Arc<Self>, kid: String) {
        let _alone = self.asking.lock().await;
        {
            let mut state = self.state();
            let (now, here) = (Instant::now(), state.set.contains_key(&kid));
            if !matches!(step(&state.times, here, now), Step::Ask | Step::UseAndAsk) {
                return;
            }
            // The first question is about every key.
            let found_others = !here && state.times.fetched.is_some();
            state.times.searched = if found_others {
                Some(now)
            } else {
                state.times.searched
            };
            state.times.tried = Some(now);
        }
        match self.fetch().await {
            Ok(set) => {
                tracing::debug!(issuer = %self.issuer, keys = set.len(), "the issuer's keys are there");
                let mut state = self.state();
                state.set = set;
                state.times.fetched = Some(Instant::now());
            }
            Err(why) => {
                tracing::warn!(issuer = %self.issuer, "could not fetch the issuer's keys: {why}");
            }
        }
    }

    async fn fetch(&self) -> Result<Set, String> {
        #[derive(Deserialize)]
        struct Discovered {
            issuer: String,
            jwks_uri: String,
        }
        #[derive(Deserialize)]
        struct Jwks {
            keys: Vec<Value>,
        }
        let place = if let Some(place) = &self.jwks {
            place.clone()
        } else {
            let place = format!(
                "{}/.well-known/openid-configuration",
                self.issuer.trim_end_matches('/')
            );
            let place: Url = place.parse().map_err(|_| "the issuer is no URL")?;
            let found: Discovered = self.read(&place).await?;
            if found.issuer != self.issuer {
                return Err("its discovery document is another issuer's".to_owned());
            }
            let keys: Option<Url> = found.jwks_uri.parse().ok();
            // Whoever is elsewhere has no business on this machine.
            let keys = keys.filter(|keys| {
                is_safe(keys) && (keys.scheme() == "https" || place.scheme() == "http")
            });
            keys.ok_or("its discovery document leads to no https URL")?
        };
        let jwks: Jwks = self.read(&place).await?;
        let (set, refused) = sort(jwks.keys, self.algorithm);
        if set.is_empty() {
            return Err(format!("none of its {refused} keys can be used"));
        }
        Ok(set)
    }

    async fn read<T: DeserializeOwned>(&self, place: &Url) -> Result<T, String> {
        let answer = self
            .http
            .get(place, PATIENCE, ANSWER_MAX)
            .await
            .map_err(|fault| fault.to_string())?;
        if answer.status != 200 {
            return Err(format!("it answered with {}", answer.status.as_u16()));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|_| "its answer is not what it should be".to_owned())
    }

    /// It stays whole whatever panics beside it.
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// A key as RFC 7517 and RFC 7518 have it, as far as it can be used here.
#[derive(Deserialize)]
struct Jwk {
    kid: String,
    kty: String,
    #[serde(rename = "use")]
    used_for: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// The keys that may sign with this algorithm, by name, and how many of the others there are. Of two of one name the
/// first counts.
fn sort(keys: Vec<Value>, algorithm: Algorithm) -> (Set, usize) {
    let (mut set, all) = (Set::new(), keys.len());
    for key in keys {
        let Ok(jwk) = serde_json::from_value::<Jwk>(key) else {
            continue;
        };
        if let Some(key) = usable(&jwk, algorithm) {
            set.entry(jwk.kid).or_insert(key);
        }
    }
    let refused = all - set.len();
    (set, refused)
}

fn usable(jwk: &Jwk, algorithm: Algorithm) -> Option<DecodingKey> {
    let name = match algorithm {
        Algorithm::Rs256 => "RS256",
        Algorithm::Es256 => "ES256",
        Algorithm::EdDsa => "EdDSA",
    };
    let signs = jwk
        .used_for
        .as_ref()
        .is_none_or(|used_for| used_for == "sig")
        && jwk
            .key_ops
            .as_ref()
            .is_none_or(|ops| ops.iter().any(|op| op == "verify"))
        && jwk.alg.as_ref().is_none_or(|alg| alg == name);
    if !signs || jwk.kid.is_empty() {
        return None;
    }
    let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_ref()?).ok();
    let point = |text: &Option<String>| bytes(text).filter(|bytes| bytes.len() == 32);
    match (algorithm, jwk.kty.as_str(), jwk.crv.as_deref()) {
        (Algorithm::Rs256, "RSA", _) => {
            let (n, e) = (bytes(&jwk.n)?, bytes(&jwk.e)?);
            RSA_BITS
                .contains(&bits(&n))
                .then(|| DecodingKey::from_rsa_raw_components(&n, &e))
        }
        (Algorithm::Es256, "EC", Some("P-256")) => {
            let point = [vec![4], point(&jwk.x)?, point(&jwk.y)?].concat();
            Some(DecodingKey::from_ec_der(&point))
        }
        (Algorithm::EdDsa, "OKP", Some("Ed25519")) => {
            Some(DecodingKey::from_ed_der(&point(&jwk.x)?))
        }
        _ => None,
    }
}

/// The length of a number, highest byte first.
fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let first = number
        .get(zeros)
        .map_or(8, |byte| byte.leading_zeros() as usize);
    (number.len() - zeros + usize::from(zeros == number.len())) * 8 - first
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
            panic!("an object")
        };
        key.insert(name.to_owned(), value);
        key.into()
    }

    fn count(keys: &[Value], algorithm: Algorithm) -> usize {
        sort(keys.to_vec(), algorithm).0.len()
    }

    #[test]
    fn only_keys_for_the_one_algorithm_are_used() {
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
            assert_eq!(sort(all.to_vec(), algorithm).0.len(), 1, "{algorithm:?}");
            assert_eq!(sort(all.to_vec(), algorithm).1, 5, "{algorithm:?}");
        }
        for bits in [1024, 2040, 8200] {
            assert_eq!(count(&[rsa(bits)], Algorithm::Rs256), 0, "{bits}");
        }
        // Zeros in front make no key longer.
        let padded = [vec![0; 128], vec![0xff; 128]].concat();
        for bad in [
            with(rsa(2048), "n", json!(URL_SAFE_NO_PAD.encode(padded))),
            with(rsa(2048), "n", json!("")),
            with(rsa(2048), "n", json!("not base64!")),
            with(rsa(2048), "use", json!("enc")),
            with(rsa(2048), "alg", json!("RS512")),
            with(rsa(2048), "key_ops", json!(["encrypt"])),
            with(rsa(2048), "kid", json!("")),
            with(rsa(2048), "kty", json!("oct")),
        ] {
            assert_eq!(
                count(std::slice::from_ref(&bad), Algorithm::Rs256),
                0,
                "{bad}"
            );
        }
        assert_eq!(
            count(&[with(ec.clone(), "crv", json!("P-384"))], Algorithm::Es256),
            0
        );
        assert_eq!(count(&[with(ec, "y", json!("AA"))], Algorithm::Es256), 0);
        assert_eq!(
            count(&[with(ed, "crv", json!("X25519"))], Algorithm::EdDsa),
            0
        );
        assert_eq!(
            (bits(&[]), bits(&[0]), bits(&[0, 1]), bits(&[0x80, 0])),
            (0, 0, 1, 16)
        );
    }

    #[test]
    fn an_issuer_is_asked_when_a_key_is_needed_and_seldom_otherwise() {
        let began = Instant::now();
        let now = began + Duration::from_hours(100);
        let ago = |duration: Duration| now.checked_sub(duration);
        let secs = |secs| ago(Duration::from_secs(secs));
        let at = |tried, searched, fetched, here| {
            step(
                &Times {
                    tried,
                    searched,
                    fetched,
                },
                here,
                now,
            )
        };
        assert_eq!(at(None, None, None, false), Step::Ask);
        // It answered before.
        assert_eq!(at(secs(10), None, secs(9), true), Step::Use);
        assert_eq!(at(secs(700), None, secs(699), true), Step::UseAndAsk);
        // A key that is new is looked for at once, but not twice in a minute.
        assert_eq!(at(secs(2), None, secs(1), false), Step::Ask);
        assert_eq!(
            at(secs(2), secs(2), secs(1), false),
            Step::GiveUp(Absent::Unknown)
        );
        assert_eq!(at(secs(2), secs(61), secs(1), false), Step::Ask);
        // It has been silent since: keys serve on for a day, and what is not among them cannot be told.
        assert_eq!(at(secs(30), None, secs(3600), true), Step::Use);
        assert_eq!(at(secs(61), None, secs(3600), true), Step::UseAndAsk);
        assert_eq!(
            at(secs(2), secs(2), secs(3600), false),
            Step::GiveUp(Absent::Unreachable)
        );
        let day = ago(Duration::from_hours(25));
        assert_eq!(
            at(secs(1), None, day, true),
            Step::GiveUp(Absent::Unreachable)
        );
        assert_eq!(at(secs(6), None, day, true), Step::Ask);
        assert_eq!(
            at(secs(1), None, None, false),
            Step::GiveUp(Absent::Unreachable)
        );
    }
}
