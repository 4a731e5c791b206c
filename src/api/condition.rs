//! Conditions: the closed lists of types and reasons, and the one place that shapes messages.

use super::closed_list::closed_list;

closed_list! {
    /// Condition types.
    ConditionType {
        /// The resource itself is right and has its place in the installation.
        Accepted,
        /// Everything it names is there and usable.
        ReferencesResolved,
        /// Its credentials were tried out.
        Verified,
        /// Its variables are on the Deployments.
        Delivered,
        /// Pods with its variables run.
        RolledOut,
        /// All of it.
        Ready,
        /// kstatus: the operator works on it or waits for something.
        Reconciling,
        /// kstatus: a person must act.
        Stalled,
    }
}

closed_list! {
    /// A condition's status.
    ConditionStatus {
        /// It is so.
        True,
        /// It is not so.
        False,
        /// Not known (yet).
        Unknown,
    }
}

closed_list! {
    /// The closed list of reasons.
    Reason {
        /// Accepted: nothing is wrong with the resource.
        Accepted,
        /// Accepted: a field is wrong.
        InvalidSpec,
        /// Accepted: an older resource holds what this one wants.
        Collision,
        /// Accepted: an older resource of the kind is there.
        DuplicateInInstallation,
        /// Accepted: the installation is not there or not clear.
        InstallationNotFound,
        /// Not judged yet.
        Pending,
        /// ReferencesResolved: all are there.
        Resolved,
        /// ReferencesResolved: no such Secret.
        SecretNotFound,
        /// ReferencesResolved: the Secret lacks the key.
        SecretKeyNotFound,
        /// ReferencesResolved: the value cannot be a variable.
        SecretValueInvalid,
        /// ReferencesResolved: the Secret may not be referenced.
        SecretNotPermitted,
        /// ReferencesResolved: the AzureSso that is named is not there, or not right itself.
        AzureSsoNotReady,
        /// ReferencesResolved: there is no JwtAuthentication that is right.
        JwtAuthenticationMissing,
        /// Verified: what there is to try out passed.
        Verified,
        /// Verified: a check failed.
        CheckFailed,
        /// Verified: nothing was tried out.
        NotChecked,
        /// Verified: it is being tried out.
        InProgress,
        /// Verified: nobody could be asked.
        Unreachable,
        /// Verified: the application may not read what would tell.
        NotPermitted,
        /// Verified: it passed, and could not be tried out again for two intervals.
        Stale,
        /// Delivered: the variables are on the Deployments.
        Delivered,
        /// Delivered: what was delivered before stays.
        DeliveredLastGood,
        /// Delivered: another hand took a variable again and again, and has it.
        OwnershipLost,
        /// Delivered: new content waits for its checks.
        BlockedByVerification,
        /// Delivered: somebody else sets a variable to something else.
        Conflict,
        /// Delivered: no such Deployment.
        DeploymentNotFound,
        /// Delivered: no container could be chosen.
        ContainerNotFound,
        /// Delivered: the operator lacks a right.
        Forbidden,
        /// Delivered: the container lists a variable twice.
        DuplicateVariable,
        /// Delivered: an entry of somebody else's hides the variable of the Secret that the container names.
        ShadowedByEnv,
        /// Delivered: the other Deployment of the two that this resource needs cannot be changed.
        PartnerBlocked,
        /// Delivered: the pods get the variables from Azure Workload Identity.
        WorkloadIdentityConflict,
        /// RolledOut: pods with the variables run.
        RolledOut,
        /// RolledOut, Reconciling: pods are being replaced.
        RollingOut,
        /// RolledOut: the Deployment gave up waiting for its pods.
        ProgressDeadlineExceeded,
        /// RolledOut: the Deployment is paused.
        DeploymentPaused,
        /// Ready: everything is done and verified.
        Ready,
        /// Ready: everything is done, but not verified.
        DeliveredUnverified,
        /// Ready: trust is recorded; there is nothing to deliver.
        TrustOnly,
        /// Ready, Stalled: suspended by the user.
        Suspended,
        /// Reconciling: at work.
        Progressing,
        /// Reconciling: waits for something that is referenced.
        WaitingForReference,
        /// Reconciling: waits for a Deployment.
        WaitingForDeployment,
        /// Reconciling: a call failed and is tried again.
        Retrying,
        /// Reconciling: nothing to do.
        Settled,
    }
}

/// Longest message, in characters.
const LONGEST: usize = 1024;

/// A message fit for status: printable characters only, at most 1,024 of them.
pub fn message(text: &str) -> String {
    let mut printable = text.chars().map(|c| if is_printable(c) { c } else { ' ' });
    let mut message: String = printable.by_ref().take(LONGEST).collect();
    if printable.next().is_some() {
        message.pop();
        message.push('…');
    }
    message
}

/// Longest text of somebody else's in a message, in characters.
const LONGEST_FOREIGN: usize = 200;

/// Text that somebody else wrote, fit for a message: quoted, printable, without what looks like a
/// token, at most 200 characters.
pub fn foreign(text: &str) -> String {
    let mut text: Vec<char> = without_tokens(&message(text)).chars().collect();
    if text.len() > LONGEST_FOREIGN {
        text.truncate(LONGEST_FOREIGN - 1);
        text.push('…');
    }
    format!("\"{}\"", text.into_iter().collect::<String>())
}

/// Shortest run of letters and digits that may be a token.
const TOKEN: usize = 20;

/// Text in which every run that looks like a token is left out. Ids by which support finds a request
/// (GUIDs), and names of objects, do not: they lack capitals or have too few characters.
fn without_tokens(text: &str) -> String {
    let in_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '~' | '+' | '/' | '=' | '.' | '-');
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(in_token) {
        let run = &rest[start..];
        let end = run.find(|c| !in_token(c)).unwrap_or(run.len());
        clean.push_str(&rest[..start]);
        clean.push_str(if is_token(&run[..end]) { "…" } else { &run[..end] });
        rest = &run[end..];
    }
    clean + rest
}

/// A Timbr API key, a JSON Web Token, or a long run of capitals, small letters and digits.
fn is_token(run: &str) -> bool {
    let mixed = [char::is_uppercase as fn(char) -> bool, char::is_lowercase, char::is_numeric];
    let is_guid = run.len() == 36 && run.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    run.starts_with("tk_")
        || (run.starts_with("eyJ") && run.contains('.'))
        || (run.len() >= TOKEN && !is_guid && mixed.iter().all(|is| run.contains(is)))
}

/// Whether a character is neither a control character nor one that turns the direction of text.
pub fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_printable_and_bounded() {
        assert_eq!(message("Secret entra\nis \u{202e}gone\0"), "Secret entra is  gone ");
        // Every character by which Unicode turns text around (Bidi_Control).
        for c in
            "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}".chars()
        {
            assert!(!is_printable(c), "{}", c.escape_unicode());
            assert_eq!(message(&format!("a{c}b")), "a b");
        }
        let long = message(&"ä".repeat(2000));
        assert_eq!(long.chars().count(), 1024);
        assert!(long.ends_with("ä…"));
        assert_eq!(message(&"x".repeat(1024)).len(), 1024);
    }

    #[test]
    fn what_others_say_is_quoted_and_holds_no_token() {
        for (text, said) in [
            ("Role 'x' does not exist", "\"Role 'x' does not exist\""),
            ("bad key tk_1a2b!", "\"bad key …!\""),
            ("token eyJhbGciOi.eyJzdWIi.c2ln refused", "\"token … refused\""),
            ("secret aB3~xyzABC456defGHI789 is wrong", "\"secret … is wrong\""),
            (
                "AADSTS7000215: Invalid client secret. Trace ID: 0f1e2d3c-4b5a-6978-8796-A5B4C3D2E1F0",
                "\"AADSTS7000215: Invalid client secret. Trace ID: 0f1e2d3c-4b5a-6978-8796-A5B4C3D2E1F0\"",
            ),
            (
                "deployments.apps \"timbr-platform-identity-0123456789\" is forbidden",
                "\"deployments.apps \"timbr-platform-identity-0123456789\" is forbidden\"",
            ),
        ] {
            assert_eq!(foreign(text), said);
        }
        assert_eq!(foreign(&"a ".repeat(200)).chars().count(), 202);
    }
}
