//! The flags that decisions depend on, the same for the operator and the offline commands.

use clap::{Args, ValueEnum};

use crate::compose::{Cloud, Settings};

/// Flags that decisions depend on.
#[derive(Debug, Args)]
pub struct SettingsArgs {
    /// Microsoft's cloud that the tenants are in; `custom` needs --authority-url and
    /// --vault-suffix.
    #[arg(long, env = "TIMBR_IDENTITY_CLOUD", default_value = "public")]
    cloud: CloudArg,
    /// Host that issues tokens, instead of the cloud's own.
    #[arg(long, env = "TIMBR_IDENTITY_AUTHORITY_URL", value_name = "URL")]
    authority_url: Option<String>,
    /// What this cluster is called in the rules of access policies. Without it, rules that name a cluster match nobody.
    #[arg(long, env = "TIMBR_IDENTITY_CLUSTER_NAME", value_name = "NAME")]
    cluster_name: Option<String>,
    /// How the hosts of key vaults end, instead of the cloud's own, such as .vault.azure.net.
    #[arg(long, env = "TIMBR_IDENTITY_VAULT_SUFFIX", value_name = "SUFFIX")]
    vault_suffix: Option<String>,
    /// Hosts beside the namespace's Services that may receive the API key of Timbr's REST API.
    #[arg(long, env = "TIMBR_IDENTITY_ALLOWED_SQL_HOSTS", value_delimiter = ',', value_name = "HOST")]
    allowed_sql_hosts: Vec<String>,
    /// Only use Secrets that carry the label identity.timbr.ai/credential: "true".
    #[arg(long, env = "TIMBR_IDENTITY_REQUIRE_SECRET_OPT_IN")]
    require_secret_opt_in: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CloudArg {
    Public,
    Usgov,
    China,
    Custom,
}

/// Flags that do not go together.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Nobody says where tokens come from.
    #[error("--cloud custom needs --authority-url, the host that issues tokens")]
    NoAuthority,
    /// Nobody says where key vaults are.
    #[error("--cloud custom needs --vault-suffix, how the hosts of key vaults end, such as .vault.example.com")]
    NoVaultSuffix,
    /// The suffix would fit any host.
    #[error("--vault-suffix {0} must begin with a dot and have another one, such as .vault.azure.net")]
    VaultSuffix(String),
    /// The authority is no https address.
    #[error("--authority-url {0} must be https:// and a host, optionally with a path")]
    Authority(String),
}

impl SettingsArgs {
    /// The cloud, unless it is one of the user's own.
    pub fn cloud(&self) -> Option<Cloud> {
        match self.cloud {
            CloudArg::Public => Some(Cloud::Public),
            CloudArg::Usgov => Some(Cloud::UsGov),
            CloudArg::China => Some(Cloud::China),
            CloudArg::Custom => None,
        }
    }

    /// The settings.
    ///
    /// # Errors
    /// A sentence on which flag is wrong.
    pub fn settings(&self) -> Result<Settings, SettingsError> {
        let of_cloud = self.cloud();
        let authority_url = match (&self.authority_url, of_cloud) {
            (Some(url), _) => url.trim_end_matches('/').to_owned(),
            (None, Some(cloud)) => cloud.authority().to_owned(),
            (None, None) => return Err(SettingsError::NoAuthority),
        };
        let host = authority_url.strip_prefix("https://").unwrap_or_default();
        if host.is_empty() || host.contains(['$', '@', '?', '#', ' ']) {
            return Err(SettingsError::Authority(authority_url));
        }
        let vault_suffix = match (&self.vault_suffix, of_cloud) {
            (Some(suffix), _) => suffix.to_ascii_lowercase(),
            (None, Some(cloud)) => cloud.vault_suffix().to_owned(),
            (None, None) => return Err(SettingsError::NoVaultSuffix),
        };
        if !vault_suffix.strip_prefix('.').is_some_and(|rest| rest.contains('.')) {
            return Err(SettingsError::VaultSuffix(vault_suffix));
        }
        let hosts = self.allowed_sql_hosts.iter().filter(|host| !host.is_empty());
        Ok(Settings {
            // A custom cloud's tokens are its own authority's, whatever their version.
            sts_url: of_cloud.map_or_else(|| authority_url.clone(), |cloud| cloud.sts().to_owned()),
            authority_url,
            vault_suffix,
            // Files are judged as where everything is in place.
            webhook: true,
            cluster_name: self.cluster_name.clone().filter(|name| !name.is_empty()),
            allowed_sql_hosts: hosts.map(|host| host.to_ascii_lowercase()).collect(),
            require_secret_opt_in: self.require_secret_opt_in,
        })
    }
}
