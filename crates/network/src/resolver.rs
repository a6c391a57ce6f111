//! Names to addresses by the system's own rules (`getaddrinfo`): /etc/hosts, split DNS, mDNS, and
//! whatever else /etc/nsswitch.conf names.
//!
//! IPv4 and IPv6 are asked apart, because one question for both waits for both answers, and some
//! routers drop questions for IPv6 addresses. Each question runs on a thread of its own, since
//! nothing can call one off; the program's end doesn't wait for it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dns_lookup::{AddrFamily, AddrInfoHints, LookupErrorKind, SockType};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// Longest wait for an address. Longer than the 5 s after which glibc repeats a question that was
/// lost (`timeout` in resolv.conf(5)).
pub const NAME_TIMEOUT: Duration = Duration::from_secs(7);
/// Longest wait for the addresses of the other family, once one has answered (RFC 8305 section 3;
/// longer than its 50 ms, for networks where IPv4 answers and leads nowhere).
const OTHER_FAMILY_WAIT: Duration = Duration::from_millis(250);
/// Time for which an answer is kept, so that a page of requests asks once.
const KEEP: Duration = Duration::from_secs(5);
/// Longest wait for an answer if there was one before, which counts then (RFC 8767, section 5). After
/// an outage the system repeats a lost question only after 5 s.
const STALE_WAIT: Duration = Duration::from_millis(500);
/// Questions that may be open at once: a service, a proxy and some relays have two each.
const MAX_OPEN: usize = 32;

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }
}

/// A name that has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The name isn't there, or has no address of this family.
    #[error("there is no such name")]
    NoSuchName,
    /// The name servers don't answer, or can't find out.
    #[error("the name servers don't answer")]
    NoAnswer,
}

type Answer = Result<Vec<IpAddr>, ResolveError>;

/// A question that was asked. Its answer comes once.
#[derive(Clone, Debug)]
struct Question {
    asked: Instant,
    answer: watch::Receiver<Option<Answer>>,
}

/// The addresses of a name, of one family.
type KnownAddresses = HashMap<(String, Family), Vec<IpAddr>>;

/// A resolver. Clones share their questions.
#[derive(Clone, Debug, Default)]
pub struct Resolver {
    questions: Arc<Mutex<HashMap<(String, Family), Question>>>,
    /// The last addresses of each name.
    known: Arc<Mutex<KnownAddresses>>,
}

impl Resolver {
    /// Looks up the addresses of one family. Waits only shortly if the other one has addresses,
    /// because many callers wait for both. Cancel safe.
    ///
    /// # Errors
    /// There is none, or nobody answers within [`NAME_TIMEOUT`].
    pub async fn lookup(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, ResolveError> {
        let (wanted, other) = (self.ask(name, family)?, self.ask(name, family.other())?);
        let either = async {
            tokio::select! {
                biased;
                answer = wanted.answered() => answer,
                () = given_up(&wanted, &other) => Err(ResolveError::NoAnswer),
            }
        };
        or_known(either, self.known(name, family)).await
    }

    /// Looks up all addresses of a name, IPv6 first. Waits for the slower family only shortly. Cancel
    /// safe.
    ///
    /// # Errors
    /// There is none, or nobody answers within [`NAME_TIMEOUT`].
    pub async fn lookup_all(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let (v4, v6) = (self.ask(name, Family::V4)?, self.ask(name, Family::V6)?);
        let both = async {
            tokio::select! {
                answer = v4.answered() => complete(answer, &v6).await,
                answer = v6.answered() => complete(answer, &v4).await,
            }
        };
        let mut known = self.known(name, Family::V6);
        known.extend(self.known(name, Family::V4));
        let mut addresses = or_known(both, known).await?;
        addresses.sort_by_key(IpAddr::is_ipv4);
        Ok(addresses)
    }

    /// Returns a resolver without open questions, for a network that has changed. It knows what this
    /// one knows.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self {
            known: Arc::clone(&self.known),
            ..Self::default()
        }
    }

    /// Returns the last addresses of a name; none if it had none yet.
    fn known(&self, name: &str, family: Family) -> Vec<IpAddr> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let addresses = known.get(&(name.to_owned(), family));
        addresses.cloned().unwrap_or_default()
    }

    /// Asks, unless the question is open or was just answered.
    fn ask(&self, name: &str, family: Family) -> Result<Question, ResolveError> {
        let mut questions = self
            .questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        questions.retain(|_, question| !question.is_over());
        let key = (name.to_owned(), family);
        if let Some(question) = questions.get(&key) {
            return Ok(question.clone());
        }
        if questions.len() >= MAX_OPEN {
            return Err(ResolveError::NoAnswer);
        }
        let (answers, answer) = watch::channel(None);
        let (asked, known) = (key.clone(), Arc::clone(&self.known));
        std::thread::Builder::new()
            .name("resolver".into())
            .spawn(move || {
                let answer = system_lookup(&asked.0, family);
                if let Ok(addresses) = &answer {
                    remember(&known, asked, addresses);
                }
                answers.send_replace(Some(answer))
            })
            .map_err(|_| ResolveError::NoAnswer)?;
        let question = Question {
            asked: Instant::now(),
            answer,
        };
        questions.insert(key, question.clone());
        Ok(question)
    }
}

impl Question {
    async fn answered(&self) -> Answer {
        let mut answer = self.answer.clone();
        match answer.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone().unwrap_or(Err(ResolveError::NoAnswer)),
            Err(_) => Err(ResolveError::NoAnswer),
        }
    }

    /// Returns the time for which the question is still waited for, if the other family has
    /// answered: none if it has been open for long.
    fn rest_of_wait(&self) -> Duration {
        OTHER_FAMILY_WAIT.saturating_sub(self.asked.elapsed())
    }

    /// Returns whether the question is to be asked anew: it failed, or the answer is old.
    fn is_over(&self) -> bool {
        match &*self.answer.borrow() {
            Some(Ok(_)) => self.asked.elapsed() > KEEP,
            Some(Err(_)) => true,
            None => false,
        }
    }
}

/// Keeps the addresses of a name; the oldest ones for so many names.
fn remember(
    known: &Mutex<HashMap<(String, Family), Vec<IpAddr>>>,
    name: (String, Family),
    addresses: &[IpAddr],
) {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if known.len() < MAX_OPEN || known.contains_key(&name) {
        known.insert(name, addresses.to_vec());
    }
}

/// Waits for an answer; shortly, if the addresses of before are known.
async fn or_known(answer: impl Future<Output = Answer>, known: Vec<IpAddr>) -> Answer {
    let limit = if known.is_empty() {
        NAME_TIMEOUT
    } else {
        STALE_WAIT
    };
    match timeout(limit, answer).await {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(ResolveError::NoSuchName)) => Err(ResolveError::NoSuchName),
        Ok(Err(ResolveError::NoAnswer)) | Err(_) if known.is_empty() => Err(ResolveError::NoAnswer),
        Ok(Err(ResolveError::NoAnswer)) | Err(_) => Ok(known),
    }
}

/// Waits until `other` has addresses and `wanted` has been waited for shortly.
async fn given_up(wanted: &Question, other: &Question) {
    if other.answered().await.is_err() {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(wanted.rest_of_wait()).await;
}

/// Completes the answer of the faster family by the other's.
async fn complete(first: Answer, other: &Question) -> Answer {
    match first {
        Ok(mut addresses) => {
            if let Ok(Ok(more)) = timeout(other.rest_of_wait(), other.answered()).await {
                addresses.extend(more);
            }
            Ok(addresses)
        }
        Err(error) => match other.answered().await {
            Ok(addresses) => Ok(addresses),
            Err(ResolveError::NoSuchName) => Err(ResolveError::NoSuchName),
            Err(ResolveError::NoAnswer) => Err(error),
        },
    }
}

/// Asks the system, and waits for as long as the system does.
fn system_lookup(name: &str, family: Family) -> Answer {
    let address = match family {
        Family::V4 => AddrFamily::Inet,
        Family::V6 => AddrFamily::Inet6,
    };
    let hints = AddrInfoHints {
        address: address.into(),
        // Each address would come once for every type.
        socktype: SockType::Stream.into(),
        ..AddrInfoHints::default()
    };
    let found =
        dns_lookup::getaddrinfo(Some(name), None, Some(hints)).map_err(|error| {
            match error.kind() {
                LookupErrorKind::NoName | LookupErrorKind::NoData | LookupErrorKind::Family => {
                    ResolveError::NoSuchName
                }
                _ => ResolveError::NoAnswer,
            }
        })?;
    let addresses: Vec<_> = found.flatten().map(|info| info.sockaddr.ip()).collect();
    if addresses.is_empty() {
        return Err(ResolveError::NoSuchName);
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_systems_hosts_file_is_asked() {
        let addresses = Resolver::default().lookup_all("localhost").await.unwrap();
        assert!(addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
    }

    fn open_question() -> (watch::Sender<Option<Answer>>, Question) {
        let (sender, answer) = watch::channel(None);
        let asked = Instant::now();
        (sender, Question { asked, answer })
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_never_comes_is_not_waited_for() {
        let v4: IpAddr = "192.0.2.1".parse().unwrap();
        let (_never, other) = open_question();
        assert_eq!(complete(Ok(vec![v4]), &other).await, Ok(vec![v4]));
        assert!(other.asked.elapsed() <= OTHER_FAMILY_WAIT * 2);
        let (answered, first) = open_question();
        answered.send_replace(Some(Ok(vec![v4])));
        given_up(&other, &first).await;
        assert!(other.asked.elapsed() <= OTHER_FAMILY_WAIT * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_addresses_count_where_nobody_answers() {
        let known: Vec<IpAddr> = vec!["192.0.2.1".parse().unwrap()];
        let check = async |answer: Option<Answer>, known: &[IpAddr], expected: Answer| {
            let began = Instant::now();
            let coming = async {
                match answer {
                    Some(answer) => answer,
                    None => std::future::pending().await,
                }
            };
            assert_eq!(or_known(coming, known.to_vec()).await, expected);
            began.elapsed()
        };
        let waited = check(None, &known, Ok(known.clone())).await;
        assert!(waited <= STALE_WAIT * 2);
        let failed = Some(Err(ResolveError::NoAnswer));
        check(failed.clone(), &known, Ok(known.clone())).await;
        let gone = Err(ResolveError::NoSuchName);
        check(Some(gone.clone()), &known, gone).await;
        let newer: Vec<IpAddr> = vec!["192.0.2.2".parse().unwrap()];
        check(Some(Ok(newer.clone())), &known, Ok(newer)).await;
        check(failed, &[], Err(ResolveError::NoAnswer)).await;
        let waited = check(None, &[], Err(ResolveError::NoAnswer)).await;
        assert!(waited >= NAME_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn one_family_is_enough() {
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        let (sender, other) = open_question();
        sender.send_replace(Some(Ok(vec![v6])));
        let first = Err(ResolveError::NoSuchName);
        assert_eq!(complete(first, &other).await, Ok(vec![v6]));
        sender.send_replace(Some(Err(ResolveError::NoAnswer)));
        let first = Err(ResolveError::NoSuchName);
        let none = complete(first, &other).await;
        assert_eq!(none, Err(ResolveError::NoSuchName));
    }
}
