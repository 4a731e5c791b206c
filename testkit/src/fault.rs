//! The ways in which the doubles misbehave, and when.

mod answer;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

pub(crate) use answer::{answer, response};

/// What goes wrong with a request. An "executed" one has had its effect although the sender cannot know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Answers this status and text, which is called JSON where it looks like JSON. Not executed.
    Refuse(u16, String),
    /// As `Refuse`, and says after how many seconds to come again, in Retry-After.
    Later(u16, u32, String),
    /// Sends the client to this URL, by a 307: the method and the body are to be the same there. Not executed.
    Redirect(String),
    /// Answers status 500 with a text that says 401, as Timbr does where a service behind it has
    /// rejected the credential. Not executed.
    RejectCredential,
    /// Answers 200 and a page of HTML, as a proxy's login does. Not executed.
    Html,
    /// Answers 200, calls it JSON, and sends bytes that are no text at all. Executed.
    Garbage,
    /// Begins a good answer and cuts the connection in the middle of it. Executed.
    Truncate,
    /// Answers 200 and JSON of 50 MB. Executed.
    Huge,
    /// Cuts the connection instead of answering. Executed.
    Lose,
    /// Cuts the connection before the body is read, so that is never known. Not executed.
    Close,
    /// Never answers. Not executed.
    Hang,
    /// Executes and answers so much later; also when the sender has gone by then.
    Delay(Duration),
}

impl Fault {
    /// Whether the request takes effect all the same.
    pub(crate) fn executes(&self) -> bool {
        match self {
            Self::Garbage | Self::Truncate | Self::Huge | Self::Lose | Self::Delay(_) => true,
            Self::Refuse(..)
            | Self::Later(..)
            | Self::Redirect(_)
            | Self::RejectCredential
            | Self::Html
            | Self::Close
            | Self::Hang => false,
        }
    }
}

/// Which requests meet which fault.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    numbered: BTreeMap<usize, Fault>,
    always: Option<Fault>,
}

impl Faults {
    /// The n-th request, from 1, meets this fault.
    pub(crate) fn at(&mut self, nth: usize, fault: Fault) {
        self.numbered.insert(nth, fault);
    }

    /// The next request after so many meets this fault; said again, the one after it.
    pub(crate) fn next(&mut self, arrived: usize, fault: Fault) {
        let next = (arrived + 1..).find(|nth| !self.numbered.contains_key(nth));
        self.numbered.extend(next.map(|nth| (nth, fault)));
    }

    /// Every request meets this fault, unless it has one of its own.
    pub(crate) fn always(&mut self, fault: Fault) {
        self.always = Some(fault);
    }

    /// The fault that the n-th request meets.
    pub(crate) fn meet(&mut self, nth: usize) -> Option<Fault> {
        self.numbered.remove(&nth).or_else(|| self.always.clone())
    }
}

/// As on a command line: `lose`, `delay=500` (milliseconds), `refuse=403,the text`,
/// `later=429,30,the text` (seconds), `redirect=https://…`.
impl FromStr for Fault {
    type Err = String;

    fn from_str(fault: &str) -> Result<Self, String> {
        let (name, value) = fault.split_once('=').map_or((fault, None), |(name, value)| (name, Some(value)));
        let status = |status: &str| status.parse().ok().filter(|status| (200..600).contains(status));
        let parsed = match (name, value) {
            ("refuse", Some(value)) => {
                let (code, text) = value.split_once(',').unwrap_or((value, "refused"));
                status(code).map(|code| Self::Refuse(code, text.to_owned()))
            }
            ("later", Some(value)) => match value.splitn(3, ',').collect::<Vec<_>>()[..] {
                [code, seconds, text] => status(code)
                    .zip(seconds.parse().ok())
                    .map(|(code, seconds)| Self::Later(code, seconds, text.to_owned())),
                _ => None,
            },
            ("redirect", Some(url)) if url.parse::<http::Uri>().is_ok() => Some(Self::Redirect(url.to_owned())),
            ("delay", Some(value)) => value.parse().ok().map(|millis| Self::Delay(Duration::from_millis(millis))),
            ("reject-credential", None) => Some(Self::RejectCredential),
            ("html", None) => Some(Self::Html),
            ("garbage", None) => Some(Self::Garbage),
            ("truncate", None) => Some(Self::Truncate),
            ("huge", None) => Some(Self::Huge),
            ("lose", None) => Some(Self::Lose),
            ("close", None) => Some(Self::Close),
            ("hang", None) => Some(Self::Hang),
            _ => None,
        };
        parsed.ok_or_else(|| {
            format!(
                "{fault:?} is no fault; there are refuse=STATUS,TEXT later=STATUS,SECONDS,TEXT redirect=URL \
                 reject-credential html garbage truncate huge lose close hang delay=MILLISECONDS"
            )
        })
    }
}
