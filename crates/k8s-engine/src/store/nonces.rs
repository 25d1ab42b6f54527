use super::{MANAGED_BY, group::Group};
use crate::cluster::{CallError, Cluster, call};
use cloister_model::{Sha256, Timestamp};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Books. A nonce is in the book of its digest, so that a replay meets it whichever replica gets the replay and whenever.
const BOOKS: u8 = 32;

/// The label of a book.
const LABEL: &str = "cloister.dev/nonces";

/// The key in a book.
const KEY: &str = "nonces";

/// Nonces of one book: about 900 KB.
const MOST: usize = 18_000;

/// How often a book is read again that another replica wrote.
const ATTEMPTS: u32 = 20;

/// Bytes of books that a replica writes in a second, over time. Each nonce is a write of a whole book, and anyone with an Ethereum key
/// pair may send them by the hundred: faster, they would fill etcd before it is compacted, which happens every five minutes.
const BYTES_PER_SECOND: u64 = 2 * 1024 * 1024;

/// Hexadecimal digits of a nonce that are kept: 128 bits.
const DIGITS: usize = 32;

type Digest = String;

/// The claims that wait for one book.
type Book = Group<Wanted, Result<bool, CallError>>;

/// The nonces that have been used, in ConfigMaps. A write names the version that was read: of two replicas that write at the
/// same time, one is told to read again, and finds what the other one wrote.
///
/// One object for each nonce would be a create and a delete for every signed request. What arrives at a replica while it
/// writes a book is written together.
#[derive(Clone)]
pub(crate) struct Nonces {
    api: Api<ConfigMap>,
    books: Arc<Vec<Arc<Book>>>,
    pace: Arc<Pace>,
}

/// Until when a replica has written as much as it may.
#[derive(Debug, Default)]
struct Pace(Mutex<Option<Instant>>);

impl Pace {
    /// Waits until more may be written. What waits for the same book meanwhile is written together.
    async fn ready(&self) {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = until {
            tokio::time::sleep_until(until).await;
        }
    }

    /// So many bytes are written now.
    fn spend(&self, bytes: usize) {
        let micros = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(1_000_000) / BYTES_PER_SECOND;
        let mut until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let from = until.map_or_else(Instant::now, |until| until.max(Instant::now()));
        *until = Some(from + Duration::from_micros(micros));
    }
}

/// A nonce that is claimed.
#[derive(Clone, Debug)]
struct Wanted {
    digest: Digest,
    until: u64,
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nonces").finish_non_exhaustive()
    }
}

impl Nonces {
    pub(crate) fn new(cluster: &Cluster) -> Self {
        let books = (0..BOOKS).map(|_| Arc::default()).collect();
        Self { api: cluster.system(), books: Arc::new(books), pace: Arc::default() }
    }

    /// Whether the nonce was free. It is taken until that moment; what is over at `now` is forgotten.
    pub(crate) async fn claim(&self, key: Sha256, until: Timestamp, now: Timestamp) -> Result<bool, CallError> {
        let number = key.as_bytes().first().copied().unwrap_or_default() % BOOKS;
        let wanted = Wanted { digest: key.to_string().chars().take(DIGITS).collect(), until: until.unix_ms() };
        let Some(group) = self.books.get(usize::from(number)) else { return Ok(false) };
        let (api, pace) = (self.api.clone(), Arc::clone(&self.pace));
        let written = group.write(wanted, move |wanted| async move {
            match write(&api, &pace, &format!("nonces-{number:02}"), &wanted, now.unix_ms()).await {
                Ok(answers) => answers.into_iter().map(Ok).collect(),
                Err(error) => wanted.iter().map(|_| Err(error.clone())).collect(),
            }
        });
        let lost = || CallError::Unreachable { what: "store a nonce", words: "the writer was ended".to_owned() };
        written.await.unwrap_or_else(|| Err(lost()))
    }
}

async fn write(
    api: &Api<ConfigMap>,
    pace: &Pace,
    name: &str,
    wanted: &[Wanted],
    now: u64,
) -> Result<Vec<bool>, CallError> {
    for _ in 0..ATTEMPTS {
        // Before it is read: what is read must not be old when it is written.
        pace.ready().await;
        let stored = call("read the nonces", || async { api.get_opt(name).await }).await?;
        let before = stored.as_ref().and_then(|book| book.data.as_ref()?.get(KEY)).map_or("", String::as_str);
        let (book, answers) = grant(read(before), wanted, now);
        if !answers.contains(&true) {
            return Ok(answers);
        }
        if book.len() > MOST {
            let words = format!("the book {name} is full: too many signed requests in a few minutes");
            return Err(CallError::Refused { what: "store a nonce", words });
        }
        let text = print(&book);
        pace.spend(text.len());
        let data = Some([(KEY.to_owned(), text)].into());
        // Once: a write that may have been done must not find its own nonces and call them replays.
        let answer = match stored {
            Some(stored) => {
                let book = ConfigMap { data, ..stored };
                crate::cluster::call_once("store a nonce", api.replace(name, &PostParams::default(), &book)).await
            }
            None => {
                let labels = [(LABEL, "true"), MANAGED_BY].map(|(name, value)| (name.to_owned(), value.to_owned()));
                let metadata =
                    ObjectMeta { name: Some(name.to_owned()), labels: Some(labels.into()), ..ObjectMeta::default() };
                let book = ConfigMap { metadata, data, ..ConfigMap::default() };
                crate::cluster::call_once("store a nonce", api.create(&PostParams::default(), &book)).await
            }
        };
        match answer {
            Ok(_) => return Ok(answers),
            Err(CallError::Conflict | CallError::Exists | CallError::Missing) => {}
            Err(error) => return Err(error),
        }
    }
    Err(CallError::Unreachable {
        what: "store a nonce",
        words: "other replicas were faster, again and again".to_owned(),
    })
}

/// The book with the nonces that are granted, and for each whether it is. What is over is left out.
fn grant(mut book: BTreeMap<Digest, u64>, wanted: &[Wanted], now: u64) -> (BTreeMap<Digest, u64>, Vec<bool>) {
    book.retain(|_, until| *until > now);
    let mut answers = Vec::new();
    for Wanted { digest, until } in wanted {
        let free = !book.contains_key(digest);
        if free {
            book.insert(digest.clone(), *until);
        }
        answers.push(free);
    }
    (book, answers)
}

fn read(text: &str) -> BTreeMap<Digest, u64> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(digest, until)| Some((digest.to_owned(), until.parse().ok()?)))
        .collect()
}

fn print(book: &BTreeMap<Digest, u64>) -> String {
    book.iter().map(|(digest, until)| format!("{digest} {until}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(digest: &str, until: u64) -> Wanted {
        Wanted { digest: digest.to_owned(), until }
    }

    #[test]
    fn of_two_equal_nonces_one_is_granted() {
        let (book, answers) = grant(BTreeMap::new(), &[wanted("a", 10), wanted("a", 20), wanted("b", 10)], 5);
        assert_eq!(answers, [true, false, true]);
        let (book, answers) = grant(read(&print(&book)), &[wanted("a", 99), wanted("c", 10)], 9);
        assert_eq!(answers, [false, true]);
        assert_eq!(book.len(), 3);
    }

    /// Books that strangers have filled are not written as fast as they send. (The clock of this test stands still, except while
    /// everything waits.)
    #[tokio::test(start_paused = true)]
    async fn large_books_are_written_no_faster_than_etcd_bears() {
        let book: String = (0..17_000).map(|number| format!("{number:032x} 9999999999999\n")).collect();
        let bytes = u64::try_from(book.len()).expect("a size");
        let metadata = serde_json::json!({"name": "nonces-00", "resourceVersion": "1"});
        let object =
            serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {KEY: book}});
        let answer = object.to_string().into_bytes();
        // It has this book, whatever is written.
        let service = tower::service_fn(move |_: http::Request<kube::client::Body>| {
            let body = kube::client::Body::from(answer.clone());
            std::future::ready(Ok::<_, std::convert::Infallible>(http::Response::new(body)))
        });
        let named = |name: &str| name.to_owned();
        let namespaces =
            crate::cluster::Namespaces { system: named("system"), jobs: named("jobs"), assets: named("assets") };
        let nonces = Nonces::new(&Cluster::through(kube::Client::new(service, "default"), namespaces));
        let (begun, many) = (Instant::now(), 20);
        for number in 1..=many {
            let mut key = [0xff; 32];
            (key[0], key[1]) = (0, number);
            let [until, now] = [20_000, 10_000].map(Timestamp::from_unix_ms);
            assert_eq!(nonces.claim(Sha256::from_bytes(key), until, now).await, Ok(true), "{number}");
        }
        let at_least = bytes * u64::from(many - 1) / BYTES_PER_SECOND;
        assert!(begun.elapsed() >= Duration::from_secs(at_least), "{:?}", begun.elapsed());
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let (book, _) = grant(BTreeMap::new(), &[wanted("a", 10), wanted("b", 30)], 5);
        let (book, answers) = grant(book, &[wanted("a", 40)], 10);
        assert_eq!((answers, book.len()), (vec![true], 2));
    }
}
