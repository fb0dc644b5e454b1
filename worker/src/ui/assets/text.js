// Texts of the page in both languages, and the language it is in. `{name}` is a value.

const en = {
  lang: "en", title: "Pool service", skip: "Skip to the content", navigation: "Pages", sections: "Sections of the pool",
  "theme.auto": "Theme: auto", "theme.light": "Theme: light", "theme.dark": "Theme: dark",
  password: "Admin password", logIn: "Log in", logInIn: "Log in (wait {seconds} s)", logOut: "Log out",
  logOutEverywhere: "Log out everywhere", logOutEverywhereAsk: "Ends all browser sessions, including this one. Admin tokens keep working.",
  wrongPassword: "Wrong password.", sessionEnded: "Your session has ended. Log in to continue.",
  version: "Version {version}", tryAgain: "Try again", unreachable: "The service cannot be reached.", requestId: "Request {id}",
  dismiss: "Dismiss", cancel: "Cancel", close: "Close", save: "Save", create: "Create", edit: "Edit", delete: "Delete",
  enable: "Enable", disable: "Disable", copy: "Copy", copied: "Copied.", check: "Check", reset: "Reset", rotate: "Rotate", revoke: "Revoke",
  select: "Select", actions: "Actions", more: "More settings", loading: "Loading…",
  typeToConfirm: "Type “{text}” to confirm", typeExactly: "Type exactly: {text}",
  updated: "As of {time}", stale: "Data from {time}. Update failed; retrying…",
  notLoaded: "Not loaded yet; retrying…",
  paused: "Paused because of inactivity. Resumes when you return.",

  pools: "Pools", pool: "Pool", newPool: "New pool", createPool: "Create pool", noPools: "There are no pools yet.",
  deletedPools: "Totals include {requests} requests of deleted pools.",
  state: "State", on: "on", off: "off", keys: "Keys", requests: "Requests", success: "Success", failures: "failed", failed: "Failed", attempts: "Attempts", refused: "Rejected", tokens: "Tokens",
  requestsToday: "Requests today", tokensToday: "Prompt tokens today", requestsPerMinute: "Requests / min", attemptsPerMinute: "Attempts / min", tokensPerMinute: "Prompt tokens / min",
  promptTokens: "Prompt tokens", answerTokens: "Completion tokens", now: "{count} this minute", inAll: "all time",
  lost: "Attempts not counted: {count}.", lostRequests: "Requests not counted: {count}.",
  keysUsable: "{usable} of {total} healthy", keysUnknown: "{total}, states unknown",
  store: "Store", ledger: "Ledger", encryption: "Encryption", "health.degraded": "The service is degraded.", "health.failing": "The service is failing.",
  "health.unknown": "The state of the service is unknown.",

  name: "Name", description: "Description", allowedModels: "Allowed models", modelsHint: "One per line; * is a wildcard. Empty: all models.",
  geminiKeys: "Gemini keys", keysHint: "One per line, or comma-separated, or key,weight,tag,name; also .env lines and JSON. Lines with # are ignored.",
  defaultWeight: "Weight", weight: "Weight",
  weightHint: "0 to 1000: share of the traffic, for keys without a weight of their own. 0: reserve key.",
  keyShort: "too short for a Gemini key", keyLong: "too long for a Gemini key", keyCharacter: "invalid character for a Gemini key",
  keyMasked: "a masked key, not the key itself", keyOwn: "a client key or an admin token of a pool service, not a Gemini key",
  keyPem: "a private key or certificate (PEM), not API keys", keyJson: "invalid JSON",
  keyJsonNone: "JSON without Gemini keys: an array of keys is expected, or objects with a member “key”",
  keyServiceAccount: "a service account or OAuth file, not API keys",
  keyColumns: "more columns than key,weight,tag,name", keyWeight: "the weight is not a whole number from 0 to 1000",
  imported: "{added} added, {duplicate} duplicates, {malformed} invalid.", lineProblem: "Line {line}: {reason}",
  refusedLines: "Not added: fix and try again", poolCreated: "Pool “{name}” is ready", shownOnce: "This is the pool's client key. Copy it now: it is shown only once.",
  baseUrl: "Base URL for clients", poolId: "Id", created: "Created", editPool: "Edit “{name}”",
  askGemini: "Fetch model list from Gemini", sticky: "Session affinity: a user's requests use the same key",
  passThrough: "Pass-through: native Gemini API requests are forwarded unchanged",
  aliases: "Aliases", aliasesHint: "alias = model, one per line", fallbacks: "Fallback models", fallbacksHint: "model = other, another; one per line. * for every model.",
  translation: "Request conversion", translationHint: "JSON; removed fields return to their defaults. docs/translation.md explains each field.",
  notAPair: "not of the form name = value: {line}", notAnObject: "The value is not a JSON object.",
  disablePool: "Disable the pool?", disablePoolAsk: "Clients of “{name}” get 403 until it is enabled again.",
  deletePool: "Delete the pool?", deletePoolAsk: "Permanently deletes “{name}”, its Gemini keys ({keys}) and its client keys.", deleted: "“{name}” is deleted.",
  "section.overview": "Overview", "section.keys": "Gemini keys", "section.client-keys": "Client keys",

  period: "Period", "span.hour": "last hour", "span.day": "last 24 hours", "span.month": "last 30 days", "span.all": "all time",
  traffic: "Traffic", models: "Models", model: "Model", half: "p50 latency", nearlyAll: "p95 latency", nothingYet: "No data yet.",
  requestOutcomes: "Request outcomes", outcomes: "Attempt outcomes", outcome: "Outcome", lately: "Recent errors", time: "Time", key: "Key", message: "Message",
  "chart.minute": "Requests per minute (peak {most})", "chart.hour": "Requests per hour (peak {most})", "chart.day": "Requests per day (peak {most})",
  "outcome.ok": "success", "outcome.client_left": "client disconnected", "outcome.caller": "invalid request", "outcome.key": "key rejected",
  "outcome.quota": "quota exceeded", "outcome.model": "model overloaded", "outcome.internal": "internal error", "outcome.egress": "region not supported", "outcome.network": "network error",
  "outcome.soft_failure": "empty response", "outcome.unknown": "unknown",
  failing: "failing ({failed} of {attempts}: {outcome})",
  "request.ok": "complete response", "request.client_disconnected": "client disconnected", "request.invalid_request": "invalid request",
  "request.rate_limited": "client key limit reached", "request.quota_exhausted": "quota exhausted", "request.server_error": "server error",
  "request.truncated": "truncated response", "request.unknown": "unknown",

  addKeys: "Add keys", searchKeys: "Search by name, tag or key", allStates: "All states", noKeys: "The pool has no keys yet.", noKeysFound: "No matching keys.",
  selectAll: "Select all {count} shown", selectKey: "Select {key}", selected: "{count} selected", noneSelected: "No keys are selected", selectedKeys: "Selected keys",
  lastUsed: "Last used", range: "{from}–{to} of {total}", previous: "Previous", next: "Next", noMorePages: "No more pages",
  resetKeys: "Reset keys?", resetKeysAsk: "Clears cooldowns, states and learnt limits of {count} keys and their projects, in all instances.",
  keysChanged: "Keys changed: {count}.", keysUnchanged: "Unchanged: {count}.", disableKeys: "Disable keys?", disableKeysAsk: "Keys to disable until they are enabled again: {count}.",
  deleteKeys: "Delete keys?", deleteKeysAsk: "Keys to delete permanently: {count}.", weightOf: "Weight of the selected keys ({count})",
  copyKeys: "Copy keys", copyKeysAsk: "Keys to show in clear text: {count}. The audit log records it.", readKeys: "Read keys", keysRead: "Keys read: {count}, one per line.",
  checkKeys: "Check keys", checkKeysText: "Sends one minimal request per selected key ({count}). Close to stop.", verdict: "Result",
  editKey: "Edit {key}", tag: "Tag", tagHint: "Groups keys for search.", project: "Google project", projectHint: "Keys of one project share its quotas.",
  "state.healthy": "healthy", "state.cooling": "cooldown", "state.limited": "quota exhausted", "state.suspect": "suspect", "state.invalid": "invalid",
  "state.leaked": "leaked", "state.suspended": "suspended", "state.billing": "billing required", "state.blocked": "blocked", "state.disabled": "disabled", "state.unknown": "unknown",
  rechecked: "(rechecked {time})", "reason.spend": "spend limit", "reason.requests": "requests", "reason.tokens": "tokens", "reason.day": "daily quota", "reason.no_quota": "no quota", "reason.burst": "burst",
  "reason.new_users": "not for new users", "reason.no_access": "no access to the model", "reason.permission": "permission denied", "reason.service_disabled": "API not enabled", "reason.billing_disabled": "billing disabled",
  "reason.consumer_invalid": "unknown project", "reason.service_blocked": "API not allowed for the key", "reason.referrer": "referrer not allowed",
  "reason.address": "address not allowed", "reason.app": "app not allowed",
  "verdict.valid": "valid", "verdict.limited": "valid, quota exceeded", "verdict.invalid": "invalid", "verdict.suspended": "suspended", "verdict.blocked": "blocked",
  "verdict.billing": "billing required", "verdict.leaked": "leaked", "verdict.error": "error", "verdict.unreachable": "no response", "verdict.malformed": "not a valid key", "verdict.unknown": "unknown",

  clientKey: "Client key", newClientKey: "New client key", noClientKeys: "No client keys yet: clients cannot use the pool.",
  unnamed: "unnamed", weak: "weak", ends: "Expires", ended: "expired", never: "never", none: "none", all: "all",
  limits: "Limits", rpm: "requests / min", rpd: "requests / day", tpm: "tokens / min", tpd: "tokens / day", limitsHint: "Empty: none. Daily limits reset at midnight Pacific Time.",
  networks: "Networks", networksHint: "Such as 192.0.2.0/24, one per line. Empty: all.",
  endsAfterDays: "Expires after (days)", emptyForNever: "Empty: never.", emptyForAsIs: "From now. Empty: unchanged.", endsAt: "Expires {time}.", endsNever: "Never expires.",
  editClientKey: "Edit {key}", rotateClientKey: "Rotate {key}", rotateText: "Creates a new client key with the same rules.",
  graceHours: "Grace period of the old key (hours)", graceHint: "0 to 720.", revokeClientKey: "Revoke the client key?", revokeAsk: "{key} stops working at once.",
};

/** @type {typeof en} */
const zh = {
  lang: "zh-CN", title: "密钥池服务", skip: "跳到正文", navigation: "页面", sections: "密钥池的各部分",
  "theme.auto": "主题：自动", "theme.light": "主题：浅色", "theme.dark": "主题：深色",
  password: "管理密码", logIn: "登录", logInIn: "登录（请等待 {seconds} 秒）", logOut: "退出",
  logOutEverywhere: "退出所有会话", logOutEverywhereAsk: "所有浏览器会话都将结束，包括当前会话。管理令牌继续有效。",
  wrongPassword: "密码错误。", sessionEnded: "会话已结束。请重新登录以继续。",
  version: "版本 {version}", tryAgain: "重试", unreachable: "无法连接服务。", requestId: "请求 {id}",
  dismiss: "关闭提示", cancel: "取消", close: "关闭", save: "保存", create: "创建", edit: "编辑", delete: "删除",
  enable: "启用", disable: "停用", copy: "复制", copied: "已复制。", check: "检测", reset: "重置", rotate: "轮换", revoke: "吊销",
  select: "选择", actions: "操作", more: "更多设置", loading: "加载中…",
  typeToConfirm: "输入“{text}”以确认", typeExactly: "请准确输入：{text}",
  updated: "更新于 {time}", stale: "数据时间 {time}。更新失败，正在重试…",
  notLoaded: "尚未加载，正在重试…",
  paused: "因长时间无操作已暂停，返回后自动恢复。",

  pools: "密钥池", pool: "密钥池", newPool: "新建密钥池", createPool: "创建密钥池", noPools: "还没有密钥池。",
  deletedPools: "总数中还包含已删除密钥池的 {requests} 次请求。",
  state: "状态", on: "启用", off: "停用", keys: "密钥", requests: "请求数", success: "成功率", failures: "失败", failed: "失败率", attempts: "上游调用次数", refused: "拒绝率", tokens: "Token 数",
  requestsToday: "今日请求", tokensToday: "今日输入 Token", requestsPerMinute: "请求/分钟", attemptsPerMinute: "调用/分钟", tokensPerMinute: "输入 Token/分钟",
  promptTokens: "输入 Token", answerTokens: "输出 Token", now: "本分钟 {count}", inAll: "全部时间",
  lost: "有 {count} 次上游调用未能计入。", lostRequests: "有 {count} 个请求未能计入。",
  keysUsable: "{total} 个中 {usable} 个正常", keysUnknown: "{total} 个，状态未知",
  store: "配置存储", ledger: "统计存储", encryption: "加密", "health.degraded": "服务降级运行。", "health.failing": "服务异常。",
  "health.unknown": "服务状态未知。",

  name: "名称", description: "描述", allowedModels: "允许的模型", modelsHint: "每行一个；* 为通配符。留空：全部模型。",
  geminiKeys: "Gemini 密钥", keysHint: "每行一个，或用逗号分隔，或 密钥,权重,标签,名称；也支持 .env 行和 JSON。以 # 开头的行会忽略。",
  defaultWeight: "权重", weight: "权重",
  weightHint: "0 到 1000：流量份额，用于未自带权重的密钥。0：备用密钥。",
  keyShort: "对 Gemini 密钥来说太短", keyLong: "对 Gemini 密钥来说太长", keyCharacter: "含有 Gemini 密钥中不存在的字符",
  keyMasked: "这是打码后的密钥，不是密钥本身", keyOwn: "这是密钥池服务的客户端密钥或管理令牌，不是 Gemini 密钥",
  keyPem: "这是私钥或证书（PEM），不是 API 密钥", keyJson: "JSON 无效",
  keyJsonNone: "JSON 中没有 Gemini 密钥：应为密钥数组，或含有“key”成员的对象",
  keyServiceAccount: "这是服务账号或 OAuth 文件，不是 API 密钥",
  keyColumns: "列数多于 密钥,权重,标签,名称", keyWeight: "权重不是 0 到 1000 的整数",
  imported: "导入 {added} 个，重复 {duplicate} 个，无效 {malformed} 个。", lineProblem: "第 {line} 行：{reason}",
  refusedLines: "未导入，请修改后重试", poolCreated: "密钥池“{name}”已就绪", shownOnce: "这是该密钥池的客户端密钥。请立即复制：仅显示一次。",
  baseUrl: "客户端的 Base URL", poolId: "ID", created: "创建时间", editPool: "编辑“{name}”",
  askGemini: "从 Gemini 获取模型列表", sticky: "会话保持：同一用户的请求使用同一密钥",
  passThrough: "透传：Gemini 原生 API 请求原样转发",
  aliases: "模型别名", aliasesHint: "别名 = 模型，每行一个", fallbacks: "备用模型", fallbacksHint: "模型 = 备用一, 备用二；每行一个。* 为所有模型。",
  translation: "格式转换选项", translationHint: "JSON；删去的字段恢复默认值。各字段说明见 docs/translation.md。",
  notAPair: "不是“名称 = 值”的形式：{line}", notAnObject: "内容不是 JSON 对象。",
  disablePool: "停用该密钥池？", disablePoolAsk: "在重新启用之前，“{name}”的客户端会收到 403。",
  deletePool: "删除该密钥池？", deletePoolAsk: "“{name}”及其 {keys} 个 Gemini 密钥和所有客户端密钥将永久删除。", deleted: "“{name}”已删除。",
  "section.overview": "概览", "section.keys": "Gemini 密钥", "section.client-keys": "客户端密钥",

  period: "时段", "span.hour": "最近一小时", "span.day": "最近 24 小时", "span.month": "最近 30 天", "span.all": "全部时间",
  traffic: "流量", models: "模型", model: "模型", half: "P50 耗时", nearlyAll: "P95 耗时", nothingYet: "暂无数据。",
  requestOutcomes: "请求结果", outcomes: "上游调用结果", outcome: "结果", lately: "最近的错误", time: "时间", key: "密钥", message: "消息",
  "chart.minute": "每分钟请求数（峰值 {most}）", "chart.hour": "每小时请求数（峰值 {most}）", "chart.day": "每日请求数（峰值 {most}）",
  "outcome.ok": "成功", "outcome.client_left": "客户端断开", "outcome.caller": "请求无效", "outcome.key": "密钥被拒",
  "outcome.quota": "配额用尽", "outcome.model": "模型过载", "outcome.internal": "内部错误", "outcome.egress": "地区不支持", "outcome.network": "网络错误",
  "outcome.soft_failure": "空响应", "outcome.unknown": "未知",
  failing: "持续失败（{attempts} 次中 {failed} 次：{outcome}）",
  "request.ok": "完整响应", "request.client_disconnected": "客户端断开", "request.invalid_request": "请求无效",
  "request.rate_limited": "客户端密钥限流", "request.quota_exhausted": "配额用尽", "request.server_error": "服务器错误",
  "request.truncated": "响应中断", "request.unknown": "未知",

  addKeys: "添加密钥", searchKeys: "按名称、标签或密钥搜索", allStates: "所有状态", noKeys: "该密钥池还没有密钥。", noKeysFound: "没有符合条件的密钥。",
  selectAll: "全选显示的 {count} 个", selectKey: "选择 {key}", selected: "已选 {count} 个", noneSelected: "未选择密钥", selectedKeys: "所选密钥",
  lastUsed: "最近使用", range: "第 {from}–{to} 个，共 {total} 个", previous: "上一页", next: "下一页", noMorePages: "没有更多页",
  resetKeys: "重置密钥？", resetKeysAsk: "{count} 个密钥及其项目的冷却、状态和已获知的限额将在所有实例中清除。",
  keysChanged: "已更改 {count} 个密钥。", keysUnchanged: "{count} 个密钥未变。", disableKeys: "停用密钥？", disableKeysAsk: "{count} 个密钥将停用，直到重新启用。",
  deleteKeys: "删除密钥？", deleteKeysAsk: "{count} 个密钥将永久删除。", weightOf: "{count} 个密钥的权重",
  copyKeys: "复制密钥", copyKeysAsk: "将读取 {count} 个密钥的明文。此操作会记入审计日志。", readKeys: "读取密钥", keysRead: "已读取 {count} 个密钥，每行一个。",
  checkKeys: "检测密钥", checkKeysText: "将用所选的 {count} 个密钥各发送一个最小请求。关闭即停止。", verdict: "检测结果",
  editKey: "编辑 {key}", tag: "标签", tagHint: "便于一起查找密钥。", project: "Google 项目", projectHint: "同一项目的密钥共享配额。",
  "state.healthy": "正常", "state.cooling": "冷却中", "state.limited": "配额受限", "state.suspect": "可疑", "state.invalid": "无效",
  "state.leaked": "已泄露", "state.suspended": "已被封停", "state.billing": "计费异常", "state.blocked": "被拒绝", "state.disabled": "已停用", "state.unknown": "未知",
  rechecked: "（{time}复查）", "reason.spend": "消费上限", "reason.requests": "请求数", "reason.tokens": "Token 数", "reason.day": "当日配额", "reason.no_quota": "无配额", "reason.burst": "突发限流",
  "reason.new_users": "不对新用户开放", "reason.no_access": "无权使用该模型", "reason.permission": "没有权限", "reason.service_disabled": "API 未启用", "reason.billing_disabled": "计费已停用",
  "reason.consumer_invalid": "项目未知", "reason.service_blocked": "密钥不允许使用该 API", "reason.referrer": "来源页不允许",
  "reason.address": "地址不允许", "reason.app": "应用不允许",
  "verdict.valid": "有效", "verdict.limited": "有效（配额用尽）", "verdict.invalid": "无效", "verdict.suspended": "已被封停", "verdict.blocked": "被拒绝",
  "verdict.billing": "计费异常", "verdict.leaked": "已泄露", "verdict.error": "错误", "verdict.unreachable": "无响应", "verdict.malformed": "不是有效密钥", "verdict.unknown": "未知",

  clientKey: "客户端密钥", newClientKey: "新建客户端密钥", noClientKeys: "还没有客户端密钥，客户端无法使用该密钥池。",
  unnamed: "未命名", weak: "强度不足", ends: "到期时间", ended: "已过期", never: "永不过期", none: "无", all: "全部",
  limits: "限额", rpm: "请求/分钟", rpd: "请求/天", tpm: "Token/分钟", tpd: "Token/天", limitsHint: "留空：不限。每日限额在太平洋时间零点重置。",
  networks: "网络", networksHint: "如 192.0.2.0/24，每行一个。留空：全部。",
  endsAfterDays: "有效天数", emptyForNever: "留空：永不过期。", emptyForAsIs: "从现在算起。留空：保持不变。", endsAt: "{time} 到期。", endsNever: "永不过期。",
  editClientKey: "编辑 {key}", rotateClientKey: "轮换 {key}", rotateText: "将创建规则相同的新客户端密钥。",
  graceHours: "旧密钥的宽限期（小时）", graceHint: "0 到 720。", revokeClientKey: "吊销客户端密钥？", revokeAsk: "{key} 将立即失效。",
};

export const TEXTS = { en, zh };

let chosen = read();
speak();

function read() {
  const remembered = globalThis.localStorage?.getItem("language");
  if (remembered === "en" || remembered === "zh") return remembered;
  return globalThis.navigator?.language?.toLowerCase().startsWith("zh") ? "zh" : "en";
}

/** Sets the document's language. */
function speak() {
  if (globalThis.document) document.documentElement.lang = TEXTS[chosen].lang;
}

/** `en` or `zh`. */
export const language = () => chosen;

/** The browser's variant of the language, for numbers and times: `en-GB`. */
export const locale = () => [...navigator.languages].find((name) => name.toLowerCase().startsWith(chosen)) ?? chosen;

/** @param {"en" | "zh"} next */
export function setLanguage(next) {
  chosen = next;
  speak();
  localStorage.setItem("language", next);
}

/**
 * Returns a text. A name that only a newer service knows is shown as it is.
 * @param {string} name
 * @param {Record<string, any>} [values]
 * @returns {string}
 */
export function t(name, values = {}) {
  const text = TEXTS[chosen][name] ?? name.replace(/^[a-z]+\./, "");
  return text.replace(/\{(\w+)\}/g, (whole, value) => (value in values ? String(values[value]) : whole));
}
