//! How a pool is told to translate, and that it then does.

use pool_shared::{ErrorCode, Pool, PoolCreated, PromptBlock};
use serde_json::json;

use super::world::World;

pub async fn a_pool_s_translation_is_set_field_by_field(world: &World) {
    let safety = json!([{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}]);
    let body = json!({"name": "prod", "translation": {"safety_settings": safety, "prompt_block": "error"}});
    let created: PoolCreated = world.post("/pools", &body).await.json(201);
    let path = format!("/pools/{}", created.pool.id);
    assert_eq!(created.pool.settings.translation.prompt_block, PromptBlock::Error);
    let change = json!({"translation": {"prompt_block": null, "prefix_names": true}});
    let changed: Pool = world.patch(&path, &change).await.json(200);
    assert_eq!(world.get(&path).await.json::<Pool>(200), changed);
    let translation = changed.settings.translation;
    assert_eq!((translation.prompt_block, translation.prefix_names), (PromptBlock::Answer, true));
    assert_eq!(json!(translation.safety_settings), safety);
    for wrong in [
        json!({"prompt_block": "maybe"}),
        json!({"of_tomorrow": 1}),
        json!({"of_tomorrow": null}),
        json!({"safety_settings": [{"category": "RUDENESS", "threshold": "OFF"}]}),
        json!(null),
    ] {
        let change = json!({ "translation": wrong });
        world.patch(&path, &change).await.admin_error(400, ErrorCode::InvalidRequest);
        let body = json!({"name": "other", "translation": wrong});
        world.post("/pools", &body).await.admin_error(400, ErrorCode::InvalidRequest);
    }
}
