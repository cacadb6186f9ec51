//! `warren space`.

use api::Service;
use api::types::{
    BySpace, History, Keep, Nothing, SpaceCreate, SpaceForget, SpaceHistory, SpaceKeep, SpaceQuota, SpaceRename,
    SpaceShare, SpaceUnshare, TreePath,
};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use crate::context::Context;
use crate::exit::{Failure, INTERRUPTED, Outcome};
use crate::place::{Place, path_in_space, scope, space};
use crate::print::{Accesses, Page, Show, clean};
use crate::units::parse_size;

/// Make spaces, share them, see how they stand
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren space create home                             a space of your own
  warren space list                                    all spaces on this device
  warren space info home                               who is in it, and what their devices have
  warren space unshare home --with bo                  says what bo could read, and changes the keys
  warren space rename home \"our home\"                  for everybody in it
  warren space keep home on-demand                     contents come when they are read
  warren space history home 90d                        how long old contents are kept on this device
  warren space quota home 20G                          on a device that stores it without reading
  warren space forget home                             ends keeping it on this device

  warren space share home --with bo --role editor              bo may read and write all of it
  warren space share home:Photos --with cy --role reader       cy may read one directory
  warren space share home --with vault --role storage --quota 50G
                                                               vault keeps it and cannot read it

A space is a tree of files that several devices keep together. Nothing is lost in it: what was
changed or deleted can be brought back (`warren restore`). Put files in with `warren put` or
`warren sync`. SPACE is its name, or an unambiguous beginning of its id.")]
pub(crate) struct Spaces {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a space
    #[command(after_help = "\
Examples:
  warren space create home
  warren space create \"our photos\"")]
    Create {
        /// What it is called, for everybody in it
        name: String,
    },
    /// List the spaces on this device (the same as no action)
    #[command(after_help = "\
Examples:
  warren space list
  warren space list --json")]
    List,
    /// Show everything about one
    #[command(after_help = "\
Examples:
  warren space info home
  warren space info 3f9c2a71        by the beginning of its id")]
    Info {
        /// The space
        #[arg(value_parser = space())]
        space: String,
    },
    /// Give somebody a role on a space, or on a part of it
    Share(Share),
    /// Take somebody's role away, and change the keys
    Unshare(Unshare),
    /// Give a space another name, for everybody in it
    #[command(after_help = "\
Examples:
  warren space rename home \"our home\"")]
    Rename {
        /// The space
        #[arg(value_parser = space())]
        space: String,
        /// Its new name
        name: String,
    },
    /// Choose what this device keeps of its contents
    #[command(after_help = "\
Examples:
  warren space keep home on-demand      contents come when they are read
  warren space keep home everything     all of them are kept here")]
    Keep {
        /// The space
        #[arg(value_parser = space())]
        space: String,
        /// What is kept
        what: Kept,
    },
    /// Choose how much of its past keeps its contents on this device
    ///
    /// What is shown and what is in conflict is always kept, and who wrote what and when is never forgotten. What goes
    /// beyond is let go by `warren store tidy`.
    #[command(after_help = "\
Examples:
  warren space history home 90d         what was there within 90 days
  warren space history home 10v         ten versions of each file
  warren space history home all         everything, as from the beginning")]
    History {
        /// The space
        #[arg(value_parser = space())]
        space: String,
        /// all; 90d: what was there within so many days; 10v: so many versions of each file
        #[arg(value_parser = parse_history)]
        keep: History,
    },
    /// Limit what this device takes of a space that it stores without reading
    #[command(after_help = "\
Examples:
  warren space quota home 20G
  warren space quota home none          no limit but what its owners ask for")]
    Quota {
        /// The space
        #[arg(value_parser = space())]
        space: String,
        /// At most so many bytes, changes included; or none
        #[arg(value_parser = parse_quota, value_name = "SIZE")]
        limit: Limit,
    },
    /// Take what this device has of a space for the newest
    ///
    /// After its home was put back from a backup or copied, a device changes nothing in a space before another device has told
    /// what it had done since: it would sign a number twice, and look like a cheat. This is for when there is no other
    /// device any more.
    #[command(after_help = "\
Examples:
  warren space trust home               asks before it does it")]
    Trust {
        /// The space
        #[arg(value_parser = space())]
        space: String,
    },
    /// End keeping a space on this device
    #[command(after_help = "\
Examples:
  warren space forget home              asks before it does it
  warren space forget home --yes")]
    Forget {
        /// The space
        #[arg(value_parser = space())]
        space: String,
        /// Also if something of it is known to be on no other device: that is lost then
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren space share home --with bo,cy --role editor
  warren space share home:Photos --with cy --role reader
  warren space share home:plan.txt --with cy --role editor
  warren space share home --with vault --role storage --quota 50G

Who may read all of a space may read what is in it. Who may only write a file cannot rename or delete it.")]
struct Share {
    /// A space, or a directory or file in it, which has permissions of its own from then on
    #[arg(value_name = "SPACE[:PATH]", value_parser = scope())]
    what: Place,
    #[command(flatten)]
    part: Part,
    /// Members, with commas between them
    #[arg(short, long, value_name = "MEMBER", value_delimiter = ',', required = true)]
    with: Vec<String>,
    /// What they may do: owner (everything, also share), editor (read and write), reader, storage (keep it unread)
    #[arg(short, long, value_enum, hide_possible_values = true)]
    role: Role,
    /// With the role storage: at most so many bytes on each of its devices; 0: no limit any more
    #[arg(long, value_parser = parse_size, value_name = "SIZE")]
    quota: Option<u64>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren space unshare home --with bo --preview
  warren space unshare home:Photos --with cy")]
struct Unshare {
    /// A space, or a part of it
    #[arg(value_name = "SPACE[:PATH]", value_parser = scope())]
    what: Place,
    #[command(flatten)]
    part: Part,
    /// Whose role
    #[arg(short, long, value_name = "MEMBER", visible_alias = "from")]
    with: String,
    /// Only say what it would mean
    #[arg(long)]
    preview: bool,
}

/// Another way to write a part of a space.
#[derive(Debug, Args)]
struct Part {
    /// The directory, instead of SPACE:PATH
    #[arg(long, value_name = "PATH")]
    path: Option<OsString>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    Owner,
    Editor,
    Reader,
    Storage,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kept {
    /// Everything that is in it
    Everything,
    /// What was read or written here; the rest comes when it is read
    OnDemand,
}

/// A size, or none.
#[derive(Debug, Clone, Copy)]
struct Limit(Option<u64>);

fn parse_quota(text: &str) -> Result<Limit, String> {
    match text {
        "none" => Ok(Limit(None)),
        text => Ok(Limit(Some(parse_size(text)?))),
    }
}

fn parse_history(text: &str) -> Result<History, String> {
    let number = |text: &str| text.parse().ok().filter(|number| *number > 0);
    let history = match text.split_at_checked(text.len().saturating_sub(1)) {
        _ if text == "all" => Some(History::default()),
        Some((days, "d")) => number(days).map(|days| History { days: Some(days), versions: None }),
        Some((versions, "v")) => number(versions).map(|count| History { days: None, versions: Some(count) }),
        _ => None,
    };
    history.ok_or_else(|| "all, so many days (90d) or so many versions of each file (10v)".to_owned())
}

/// What `forget` did.
#[derive(Serialize)]
struct Forgotten {
    forgotten: String,
}

impl Show for Forgotten {
    fn human(&self, page: &mut Page) {
        page.line(format!("`{}` is no longer kept on this device.", clean(&self.forgotten)));
    }
}

impl Spaces {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let service = cx.running().await?;
        let space = match self.action.unwrap_or(Action::List) {
            Action::List => {
                let spaces = service.spaces(Nothing {}).await?;
                cx.show(&spaces);
                return Ok(());
            }
            Action::Share(share) => return share.run(cx, &service).await,
            Action::Unshare(unshare) => return unshare.run(cx, &service).await,
            Action::Forget { space, force } => return forget(cx, &service, space, force).await,
            Action::Create { name } => {
                let space = service.space_create(SpaceCreate { name }).await?;
                cx.show(&space);
                let name = clean(&space.name).into_owned();
                cx.note(&format!(
                    "\nNext: `warren put FILE '{name}:'` brings files in, `warren space share '{name}' --with MEMBER --role editor` \
                     lets others in."
                ));
                return Ok(());
            }
            Action::Info { space } => service.space(BySpace { space }).await?,
            Action::Rename { space, name } => service.space_rename(SpaceRename { space, name }).await?,
            Action::Trust { space } => trust(cx, &service, space).await?,
            Action::Keep { space, what } => {
                let keep = match what {
                    Kept::Everything => Keep::Everything,
                    Kept::OnDemand => Keep::OnDemand,
                };
                service.space_keep(SpaceKeep { space, keep }).await?
            }
            Action::History { space, keep } => {
                let space = service.space_history(SpaceHistory { space, history: keep }).await?;
                cx.show(&space);
                cx.note("Next: `warren store tidy --preview` says what is not needed any more.");
                return Ok(());
            }
            Action::Quota { space, limit } => service.space_quota(SpaceQuota { space, limit: limit.0 }).await?,
        };
        cx.show(&space);
        Ok(())
    }
}

/// What a role is about.
fn part(what: Place, part: Part) -> Result<(String, TreePath), Failure> {
    match part.path {
        None => Ok((what.space, what.path)),
        Some(_) if !what.path.is_root() => {
            Err(Failure::usage("the path is given twice").hint("write SPACE:PATH, or SPACE and --path PATH").into())
        }
        Some(path) => Ok((what.space, path_in_space(path.as_bytes()).map_err(Failure::usage)?)),
    }
}

impl Share {
    async fn run(self, cx: &mut Context, service: &Arc<dyn Service>) -> Outcome {
        let role = match self.role {
            Role::Owner => "owner",
            Role::Editor => "editor",
            Role::Reader => "reader",
            Role::Storage => "storage",
        };
        if self.quota.is_some() && role != "storage" {
            return Err(Failure::usage("--quota is for --role storage").hint("leave it away").into());
        }
        let (space, path) = part(self.what, self.part)?;
        let mut access = Vec::new();
        for member in &self.with {
            let request = SpaceShare {
                space: space.clone(),
                path: path.clone(),
                member: member.clone(),
                role: role.to_owned(),
                quota: self.quota,
            };
            access = match service.space_share(request).await {
                Ok(access) => access,
                Err(error) => return Err(cx.suggest_peer(service, &self.with, error).await.into()),
            };
        }
        cx.show(&Accesses(access));
        Ok(())
    }
}

impl Unshare {
    async fn run(self, cx: &mut Context, service: &Arc<dyn Service>) -> Outcome {
        let (space, path) = part(self.what, self.part)?;
        let mut request = SpaceUnshare { space, path, member: self.with.clone(), preview: true };
        if self.preview || !cx.yes {
            let meaning = match service.space_unshare(request.clone()).await {
                Ok(meaning) => meaning,
                Err(error) => return Err(cx.suggest_peer(service, &[self.with], error).await.into()),
            };
            if self.preview {
                cx.show(&meaning);
                return Ok(());
            }
            let question = format!("Take the role of {} away?", clean(&meaning.member));
            cx.agree(&meaning, &question).await?;
        }
        request.preview = false;
        match service.space_unshare(request).await {
            Ok(done) => cx.show(&done),
            Err(error) => return Err(cx.suggest_peer(service, &[self.with], error).await.into()),
        }
        Ok(())
    }
}

async fn trust(cx: &mut Context, service: &Arc<dyn Service>, space: String) -> Result<api::types::Space, Failure> {
    let question = format!(
        "Is what this device has of `{}` the newest that it ever had? If another device knows of more, it will take this one \
         for a cheat.",
        clean(&space)
    );
    if !cx.confirm(&question).await? {
        cx.note("Nothing was done.");
        return Err(Failure::Said(INTERRUPTED));
    }
    Ok(service.space_trust(BySpace { space }).await?)
}

async fn forget(cx: &mut Context, service: &Arc<dyn Service>, space: String, force: bool) -> Outcome {
    let question = format!("End keeping `{}` on this device? Its contents here are deleted.", clean(&space));
    if !cx.confirm(&question).await? {
        cx.note("Nothing was done.");
        return Err(Failure::Said(INTERRUPTED));
    }
    service.space_forget(SpaceForget { space: space.clone(), force }).await?;
    cx.show(&Forgotten { forgotten: space });
    Ok(())
}
