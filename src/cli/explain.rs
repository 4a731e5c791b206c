//! `timbr-identity explain`.

use std::{
    fs,
    io::{self, Read as _},
    path::PathBuf,
    process::ExitCode,
    str::FromStr,
};

use clap::{ArgGroup, Args as ClapArgs, ValueEnum};
use jiff::Timestamp;

use crate::{
    api::rules,
    offline::{Question, Token, TokenError, decision, decision_json, decision_text, explain},
    policy::{Caller, Workload},
};

use super::{
    input::{InputArgs, STDIN, TargetArg},
    output::{self, Printed},
};

/// Flags of explain.
#[derive(Debug, ClapArgs)]
#[command(group = ArgGroup::new("caller").args(["from", "token"]).required(true))]
pub struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// The component that is asked for, of the Timbr in the namespace --namespace.
    #[arg(long, value_name = "COMPONENT", ignore_case = true)]
    to: TargetArg,
    /// A workload that asks, such as app=orders,namespace=shop,cluster=east. Without app: one without a
    /// name; without namespace: of that of Timbr; without cluster: of this one.
    #[arg(long, value_name = "WORKLOAD")]
    from: Option<Origin>,
    /// The JSON Web Token of whoever asks: a file, or - for standard input. A token on the command line
    /// works too, but other people on this machine may see it there. Its signature is not checked.
    #[arg(long, value_name = "FILE")]
    token: Option<TokenArg>,
    /// The tenant that requests name in the header x-jwt-tenant-id.
    #[arg(long, value_name = "NAME", conflicts_with = "from")]
    tenant: Option<String>,
    /// How to print it.
    #[arg(short, long, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// In words.
    Text,
    /// A JSON object.
    Json,
}

/// A workload as the command line names it.
#[derive(Clone, Debug, Default)]
struct Origin {
    app: Option<String>,
    namespace: Option<String>,
    cluster: Option<String>,
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut from = Self::default();
        for part in text.split(',') {
            let (key, value) = part.split_once('=').ok_or("must be key=value pairs with a comma between them")?;
            let (place, rule) = match key {
                "app" => (&mut from.app, &rules::CALLER_APPLICATION),
                "namespace" => (&mut from.namespace, &rules::CALLER_NAMESPACE),
                "cluster" => (&mut from.cluster, &rules::CALLER_CLUSTER),
                _ => return Err(format!("{key} is not known; there are app, namespace and cluster")),
            };
            if value == "*" {
                return Err(format!("{key} must be one: * stands in rules, and a caller is one workload"));
            }
            if !rule.holds(value) {
                return Err(format!("{key} {}", rule.message));
            }
            if place.replace(value.to_owned()).is_some() {
                return Err(format!("{key} is there twice"));
            }
        }
        Ok(from)
    }
}

/// Where a token is. What is printed of it is nothing.
#[derive(Clone)]
struct TokenArg(String);

impl FromStr for TokenArg {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Debug for TokenArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<token>")
    }
}

/// Why there is no token. What was given is in no sentence: it may be a token.
#[derive(Debug, thiserror::Error)]
enum NoToken {
    #[error("--token: what is given is neither a JSON Web Token nor a file that can be read ({0})")]
    File(io::Error),
    #[error("--token: standard input cannot be read: {0}")]
    Stdin(io::Error),
    #[error("--token and --filename: only one of them can be standard input")]
    StdinTwice,
    #[error("--token: {0}")]
    Token(#[from] TokenError),
}

impl TokenArg {
    fn read(&self, input: &InputArgs) -> Result<Token, NoToken> {
        let text = match self.0.as_str() {
            STDIN if input.is_stdin() => return Err(NoToken::StdinTwice),
            STDIN => {
                let mut text = String::new();
                io::stdin().read_to_string(&mut text).map_err(NoToken::Stdin)?;
                text
            }
            // A JSON object in base64, and what follows it.
            token if token.starts_with("eyJ") && token.contains('.') => token.to_owned(),
            file => fs::read_to_string(PathBuf::from(file)).map_err(NoToken::File)?,
        };
        Ok(Token::read(&text)?)
    }
}

/// Says whether a caller may use a component of Timbr, and why; with a token also what is wrong with that.
pub fn run(args: &Args) -> ExitCode {
    let token = match args.token.as_ref().map(|token| token.read(&args.input)).transpose() {
        Ok(token) => token,
        Err(error) => return output::fail(&error),
    };
    args.input.answered(|judged| {
        let (namespace, target) = (args.input.namespace(), args.to.into());
        let (text, refused) = match &token {
            Some(token) => {
                let tenant = args.tenant.as_deref();
                let question = Question { namespace, target, token, tenant, now: Timestamp::now() };
                let explained = explain(judged, &question);
                let text = match args.output {
                    Output::Text => explained.text(),
                    Output::Json => explained.json()?,
                };
                (text, explained.is_refused())
            }
            None => {
                let Origin { app, namespace: there, cluster } = args.from.clone().unwrap_or_default();
                let there = there.unwrap_or_else(|| namespace.to_owned());
                let caller = Caller::Workload(Workload { application: app, namespace: there, cluster });
                let decision = decision(judged, namespace, target, &caller);
                let text = match args.output {
                    Output::Text => decision_text(&decision),
                    Output::Json => decision_json(&decision)?,
                };
                (text, !decision.allow)
            }
        };
        Ok::<_, serde_json::Error>(Printed { text, code: u8::from(refused) })
    })
}
