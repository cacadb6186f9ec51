//! What a space is, for people.

use api::ApiResult;
use api::types::{Keep, Space as ApiSpace, SpaceState};

use crate::circle::Circle;
use crate::spaces::{Kept, Spaces};

/// A space as the API shows it.
pub(super) fn space(_circle: &Circle, spaces: &Spaces, kept: &Kept) -> ApiResult<ApiSpace> {
    let usage = spaces.objects.usage(&kept.namespace()).map_err(crate::spaces::SpaceFault::from)?;
    Ok(ApiSpace {
        name: kept.space.id().to_string(),
        id: kept.space.id().to_string(),
        role: String::new(),
        state: SpaceState::Alone,
        keep: if kept.wish().on_demand { Keep::OnDemand } else { Keep::Everything },
        files: 0,
        bytes: 0,
        stored_bytes: usage.bytes,
        missing_objects: 0,
        last_change: None,
        conflicts: 0,
        alerts: 0,
        members: Vec::new(),
    })
}
