//! The ways in which the double misbehaves.

use std::str::FromStr;
use std::time::Duration;

/// What goes wrong with a request. The statement of an "executed" one has had its effect although the
/// sender cannot know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Answers this status and text. Not executed.
    Refuse(u16, String),
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
    /// Cuts the connection before the body is read, so the statement is never known. Not executed.
    Close,
    /// Never answers. Not executed.
    Hang,
    /// Executes and answers so much later; also when the sender has gone by then.
    Delay(Duration),
}

impl Fault {
    /// Whether the statement takes effect all the same.
    pub(super) fn executes(&self) -> bool {
        match self {
            Self::Garbage | Self::Truncate | Self::Huge | Self::Lose | Self::Delay(_) => true,
            Self::Refuse(..) | Self::RejectCredential | Self::Html | Self::Close | Self::Hang => false,
        }
    }
}

/// As on a command line: `lose`, `delay=500` (milliseconds), `refuse=403,the text`.
impl FromStr for Fault {
    type Err = String;

    fn from_str(fault: &str) -> Result<Self, String> {
        let (name, value) = fault.split_once('=').map_or((fault, None), |(name, value)| (name, Some(value)));
        let parsed = match (name, value) {
            ("refuse", Some(value)) => {
                let (status, text) = value.split_once(',').unwrap_or((value, "refused"));
                let status = status.parse().ok().filter(|status| (200..600).contains(status));
                status.map(|status| Self::Refuse(status, text.to_owned()))
            }
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
                "{fault:?} is no fault; there are refuse=STATUS,TEXT reject-credential html garbage truncate huge \
                 lose close hang delay=MILLISECONDS"
            )
        })
    }
}
