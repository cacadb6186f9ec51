//! `warren config`.

use api::types::{Nothing, SetSetting, Settings};
use api::{ApiError, ErrorCode};
use clap::Args;

use crate::context::Context;
use crate::exit::Outcome;
use crate::nearest::nearest;
use crate::print::{Page, Show, clean};

/// Show and change settings
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren config                             all settings, their values, what they are for
  warren config port                        one value
  warren config received_dir ~/Downloads    change one
  warren config port --default              back to the default
  warren config --unset colour              also removes what is no setting from the file

Works with and without a running device.")]
pub(crate) struct Config {
    /// A setting
    key: Option<String>,
    /// Its new value; an empty one is the default
    #[arg(requires = "key", allow_hyphen_values = true)]
    value: Option<String>,
    /// Back to the default
    #[arg(long, visible_alias = "unset", requires = "key", conflicts_with = "value")]
    default: bool,
}

/// One setting.
#[derive(serde::Serialize)]
#[serde(transparent)]
struct One(api::types::Setting);

impl Show for One {
    fn human(&self, page: &mut Page) {
        page.line(clean(&self.0.value));
    }
}

impl Config {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let value = if self.default { Some(String::new()) } else { self.value };
        let reset = value.as_ref().is_some_and(String::is_empty);
        let change = match (&self.key, value) {
            (Some(key), Some(value)) => Some(SetSetting { key: key.clone(), value }),
            _ => None,
        };
        let settings = match (cx.running_if_any().await?, change) {
            (Some(service), Some(change)) => service.set_setting(change).await?,
            (Some(service), None) => service.settings(Nothing {}).await?,
            (None, change) => cx.host().settings(change).await?,
        };
        let shown = |key: &String| settings.entries.iter().any(|entry| entry.key == *key);
        match self.key {
            // It was in the file and is no setting.
            Some(key) if self.default && !shown(&key) => cx.note(&format!("`{}` is removed.", clean(&key))),
            None => cx.show(&settings),
            Some(key) => {
                let setting = pick(settings, &key)?;
                if reset {
                    cx.note(&format!("`{}` is back to its default.", clean(&key)));
                }
                cx.show(&One(setting));
            }
        }
        Ok(())
    }
}

/// One setting by its key.
fn pick(settings: Settings, key: &str) -> Result<api::types::Setting, ApiError> {
    let keys: Vec<String> = settings.entries.iter().map(|entry| entry.key.clone()).collect();
    let found = settings.entries.into_iter().find(|entry| entry.key == key);
    found.ok_or_else(|| {
        let error = ApiError::new(ErrorCode::NotFound, format!("there is no setting `{}`", clean(key)));
        match nearest(key, &keys) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint("`warren config` lists all of them"),
        }
    })
}
