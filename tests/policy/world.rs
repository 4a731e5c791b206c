//! A question to the access policy in plain words, from which both the crate's answer and the oracle's are made.

/// Everything that an answer depends on.
#[derive(Clone, Debug)]
pub struct World {
    /// What this cluster is called, if anybody has told.
    pub cluster: Option<&'static str>,
    /// The directory that people of this Timbr sign in to (single sign-on), a GUID.
    pub tenant: Option<&'static str>,
    /// Whether nobody comes in where there is no policy at all.
    pub closed_without_policy: bool,
    /// The component that is asked for.
    pub target: &'static str,
    /// The policies there are, of this component and of others. All are in the namespace `timbr`.
    pub policies: Vec<Policy>,
    /// Who asks.
    pub caller: Caller,
}

/// A policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The component that it guards.
    pub target: &'static str,
    /// Whether nothing is wrong with it. What is wrong admits nobody, and still exists.
    pub valid: bool,
    /// Whether it only watches. Of several policies of a component, or of one that is wrong: the strictest counts.
    pub audit: bool,
    /// Which applications may come in.
    pub rules: Vec<Rule>,
    /// Whether all users of the directory may come in.
    pub all_users: bool,
    /// The groups whose direct members may come in, GUIDs.
    pub groups: Vec<&'static str>,
}

/// An application that may come in.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name, or `*`.
    pub application: &'static str,
    /// Its namespace, or `*`; absent: the policy's own.
    pub namespace: Option<&'static str>,
    /// Its cluster; absent: this one.
    pub cluster: Option<&'static str>,
    /// Its id at Entra.
    pub client: Option<&'static str>,
    /// The directory that issues its tokens; absent: this Timbr's.
    pub tenant: Option<&'static str>,
    /// What it is granted.
    pub roles: Vec<&'static str>,
    /// What it is granted.
    pub scopes: Vec<&'static str>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub enum Caller {
    /// A workload of this cluster, as the API server knows it.
    Workload { application: Option<&'static str>, namespace: &'static str },
    /// A Kubernetes service account, by a token of an issuer. Issuers of clusters: see [`cluster_of`].
    ServiceAccount { issuer: &'static str, namespace: &'static str, name: &'static str },
    /// An application by a token of its own. `display` is the claim azp_name, as `cluster:namespace:application`.
    Application { issuer: Issuer, client: &'static str, display: Option<&'static str> },
    /// Somebody by a token. Groups: as the token lists them; `None`: there are too many to be listed.
    User { issuer: Issuer, groups: Option<Vec<&'static str>> },
}

/// Who has issued a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issuer {
    /// Entra, for this directory, by either of its two issuers.
    Entra { tenant: &'static str, version: u8 },
    /// Somebody else.
    Other(&'static str),
}

/// The clusters whose service accounts are known by their tokens: the issuer, and what the cluster is called; `None`:
/// it is this one.
pub const CLUSTERS: [(&str, Option<&str>); 2] =
    [("https://kubernetes.default.svc", None), ("https://oidc.east.example.com", Some("east"))];
