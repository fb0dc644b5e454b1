// What the page says, in both languages, and which one it speaks. `{name}` stands for what the caller gives.

const en = {
  lang: "en", title: "Pool service", skip: "Skip to the content", navigation: "Pages", sections: "Sections of the pool",
  "theme.auto": "Theme: auto", "theme.light": "Theme: light", "theme.dark": "Theme: dark",
  password: "Admin password", logIn: "Log in", logInIn: "Log in (wait {seconds} s)", logOut: "Log out",
  logOutEverywhere: "Log out everywhere", logOutEverywhereAsk: "Every browser's session ends, this one too. Tokens go on working.",
  wrongPassword: "Wrong password.", sessionEnded: "Your session has ended. Log in to go on where you were.",
  version: "Version {version}", tryAgain: "Try again", unreachable: "The service cannot be reached.", requestId: "Request {id}",
  dismiss: "Dismiss", cancel: "Cancel", close: "Close", save: "Save", create: "Create", edit: "Edit", delete: "Delete",
  enable: "Enable", disable: "Disable", copy: "Copy", copied: "Copied.", check: "Check", reset: "Reset", rotate: "Rotate", revoke: "Revoke",
  select: "Select", actions: "Actions", more: "More settings", loading: "Loading…",
  typeToConfirm: "Type “{text}” to confirm", typeExactly: "Type exactly: {text}",
  updated: "As of {time}", stale: "What you see is of {time}; it could not be updated since. It goes on trying.",
  notLoaded: "It could not be loaded yet. It goes on trying.",
  paused: "Paused, as nobody seems to be here. It goes on as soon as you are back.",

  pools: "Pools", pool: "Pool", newPool: "New pool", createPool: "Create pool", noPools: "There are no pools yet.",
  deletedPools: "The totals hold {requests} requests of deleted pools too.",
  state: "State", on: "on", off: "off", keys: "Keys", requests: "Requests", success: "Success", failures: "failed", failed: "Failed", attempts: "Attempts", refused: "Refused", tokens: "Tokens",
  requestsToday: "Requests today", tokensToday: "Prompt tokens today", requestsPerMinute: "Requests / min", attemptsPerMinute: "Attempts / min", tokensPerMinute: "Prompt tokens / min",
  promptTokens: "Prompt tokens", answerTokens: "Answer tokens", now: "{count} in this minute", inAll: "since the beginning",
  lost: "Attempts that could not be counted: {count}.", lostRequests: "Requests that could not be counted: {count}.",
  keysUsable: "{usable} of {total} healthy", keysUnknown: "{total}, states unknown",
  store: "Store", ledger: "Ledger", encryption: "Encryption", "health.degraded": "The service works with limits.", "health.failing": "The service does not work as it should.",
  "health.unknown": "The service's state is unknown.",

  name: "Name", description: "Description", allowedModels: "Allowed models", modelsHint: "One a line; * stands for anything. Empty: all.",
  geminiKeys: "Gemini keys", keysHint: "One a line, or with commas, or key,weight,tag,name; also .env lines and JSON. Lines with # are passed over.",
  defaultWeight: "Weight", weight: "Weight",
  weightHint: "0 to 1000: the share of the traffic, for keys that bring none. 0: only when no other key is left.",
  keyShort: "too short for a Gemini key", keyLong: "too long for a Gemini key", keyCharacter: "holds a character that no Gemini key has",
  keyMasked: "a masked key, not the key itself", keyOwn: "a client key or an admin token of a pool service, not a Gemini key",
  keyPem: "a private key or certificate (PEM), not API keys", keyJson: "begins like JSON and is none",
  keyJsonNone: "JSON without Gemini keys: an array of keys is expected, or objects with a member “key”",
  keyServiceAccount: "a service account or OAuth file, not API keys",
  keyColumns: "more columns than key,weight,tag,name", keyWeight: "the weight is not a whole number from 0 to 1000",
  imported: "{added} added, {duplicate} already there or twice, {malformed} refused.", lineProblem: "Line {line}: {reason}",
  refusedLines: "What was not added, to be mended", poolCreated: "Pool “{name}” is ready", shownOnce: "This is the pool's client key. Copy it now: it is shown only this once.",
  baseUrl: "Base URL for clients", poolId: "Id", created: "Created", editPool: "Edit “{name}”",
  askGemini: "Ask Gemini which models there are", sticky: "Sticky: one user's requests go to one key",
  passThrough: "Pass-through: requests in Gemini's own language go to Gemini as they come",
  aliases: "Aliases", aliasesHint: "alias = model, one a line", fallbacks: "Fallbacks", fallbacksHint: "model = other, another; one a line. * for every model.",
  translation: "Translation", translationHint: "JSON; what is taken out returns to its default. docs/translation.md explains each field.",
  notAPair: "Not of the form name = value: {line}", notAnObject: "The translation is not a JSON object.",
  disablePool: "Disable the pool?", disablePoolAsk: "Clients of “{name}” are refused until it is enabled again.",
  deletePool: "Delete the pool?", deletePoolAsk: "“{name}”, its Gemini keys ({keys}) and its client keys are gone for good.", deleted: "“{name}” is deleted.",
  "section.overview": "Overview", "section.keys": "Gemini keys", "section.client-keys": "Client keys",

  period: "Period", "span.hour": "last hour", "span.day": "last 24 hours", "span.month": "last 30 days", "span.all": "since the beginning",
  traffic: "Traffic", models: "Models", model: "Model", half: "Median time", nearlyAll: "95% within", nothingYet: "Nothing yet.",
  requestOutcomes: "How requests ended", outcomes: "How attempts ended", outcome: "Outcome", lately: "What went wrong lately", time: "Time", key: "Key", message: "Message",
  "chart.minute": "Requests by the minute, {most} at most", "chart.hour": "Requests by the hour, {most} at most", "chart.day": "Requests by the day, {most} at most",
  "outcome.ok": "answered", "outcome.client_left": "client disconnected", "outcome.caller": "invalid request", "outcome.key": "key rejected",
  "outcome.quota": "quota exceeded", "outcome.model": "model overloaded", "outcome.internal": "internal error", "outcome.egress": "region not supported", "outcome.network": "network error",
  "outcome.soft_failure": "empty response", "outcome.unknown": "unknown",
  failing: "failing ({failed} of {attempts}: {outcome})",
  "request.ok": "complete response", "request.client_disconnected": "client disconnected", "request.invalid_request": "invalid request",
  "request.rate_limited": "limit of the client key", "request.quota_exhausted": "quota exhausted", "request.server_error": "server error",
  "request.truncated": "truncated response", "request.unknown": "unknown",

  addKeys: "Add keys", searchKeys: "Search by name, tag or key", allStates: "All states", noKeys: "The pool has no keys yet.", noKeysFound: "No key is like that.",
  selectAll: "Select all {count} shown", selectKey: "Select {key}", selected: "{count} selected", noneSelected: "No keys are selected", selectedKeys: "Selected keys",
  lastUsed: "Last used", range: "{from}–{to} of {total}", previous: "Previous", next: "Next", noMorePages: "There are no more pages",
  resetKeys: "Reset keys?", resetKeysAsk: "Cooldowns, states and limits that were learnt of keys, and of their projects, end in all instances: {count}.",
  keysChanged: "Keys changed: {count}.", keysUnchanged: "Already so: {count}.", disableKeys: "Disable keys?", disableKeysAsk: "Keys to be taken out of use until they are enabled again: {count}.",
  deleteKeys: "Delete keys?", deleteKeysAsk: "Keys to be removed for good: {count}.", weightOf: "Weight of the selected keys ({count})",
  copyKeys: "Copy keys", copyKeysAsk: "Keys to be read in clear: {count}. The audit notes it.", readKeys: "Read keys", keysRead: "Keys read: {count}, one a line.",
  checkKeys: "Check keys", checkKeysText: "A smallest request goes out with each selected key ({count}). Closing stops it.", verdict: "Verdict",
  editKey: "Edit {key}", tag: "Tag", tagHint: "For finding keys together.", project: "Google project", projectHint: "Keys of one project share its quotas.",
  "state.healthy": "healthy", "state.cooling": "cooling", "state.limited": "limited", "state.suspect": "suspect", "state.invalid": "invalid",
  "state.leaked": "leaked", "state.suspended": "suspended", "state.billing": "billing", "state.blocked": "blocked", "state.disabled": "disabled", "state.unknown": "unknown",
  rechecked: "(rechecked {time})", "reason.spend": "spend limit", "reason.requests": "requests", "reason.tokens": "tokens", "reason.day": "the day's quota", "reason.no_quota": "no quota", "reason.burst": "burst",
  "reason.new_users": "not for new users", "reason.no_access": "no access to the model", "reason.permission": "permission denied", "reason.service_disabled": "API not enabled", "reason.billing_disabled": "billing disabled",
  "reason.consumer_invalid": "project unknown", "reason.service_blocked": "API not allowed to the key", "reason.referrer": "referrer not allowed",
  "reason.address": "address not allowed", "reason.app": "app not allowed",
  "verdict.valid": "valid", "verdict.limited": "valid, quota used up", "verdict.invalid": "invalid", "verdict.suspended": "suspended", "verdict.blocked": "blocked",
  "verdict.billing": "billing", "verdict.leaked": "leaked", "verdict.error": "error", "verdict.unreachable": "no response", "verdict.malformed": "no key", "verdict.unknown": "unknown",

  clientKey: "Client key", newClientKey: "New client key", noClientKeys: "There are no client keys: nobody can use the pool.",
  unnamed: "without a name", weak: "weak", ends: "Ends", ended: "ended", never: "never", none: "none", all: "all",
  limits: "Limits", rpm: "requests / min", rpd: "requests / day", tpm: "tokens / min", tpd: "tokens / day", limitsHint: "Empty: none. Days turn at midnight in California.",
  networks: "Networks", networksHint: "Such as 192.0.2.0/24, one a line. Empty: all.",
  endsAfterDays: "Ends after days", emptyForNever: "Empty: never.", emptyForAsIs: "From now on. Empty: as it is.", endsAt: "Ends {time}.", endsNever: "Never ends.",
  editClientKey: "Edit {key}", rotateClientKey: "Rotate {key}", rotateText: "A new client key with the same rules takes its place.",
  graceHours: "The old one goes on for hours", graceHint: "0 to 720.", revokeClientKey: "Revoke the client key?", revokeAsk: "{key} stops working at once.",
};

/** @type {typeof en} */
const zh = {
  lang: "zh-CN", title: "密钥池服务", skip: "跳到正文", navigation: "页面", sections: "密钥池的各部分",
  "theme.auto": "主题：自动", "theme.light": "主题：浅色", "theme.dark": "主题：深色",
  password: "管理密码", logIn: "登录", logInIn: "登录（请等待 {seconds} 秒）", logOut: "退出",
  logOutEverywhere: "全部退出", logOutEverywhereAsk: "所有浏览器会话都将结束，包括当前会话。令牌继续有效。",
  wrongPassword: "密码错误。", sessionEnded: "会话已结束。登录后可从原处继续。",
  version: "版本 {version}", tryAgain: "重试", unreachable: "无法连接服务。", requestId: "请求 {id}",
  dismiss: "关闭提示", cancel: "取消", close: "关闭", save: "保存", create: "创建", edit: "编辑", delete: "删除",
  enable: "启用", disable: "停用", copy: "复制", copied: "已复制。", check: "检测", reset: "重置", rotate: "轮换", revoke: "吊销",
  select: "选择", actions: "操作", more: "更多设置", loading: "加载中…",
  typeToConfirm: "输入“{text}”以确认", typeExactly: "请准确输入：{text}",
  updated: "更新于 {time}", stale: "当前显示的是 {time} 的数据，之后未能更新，正在继续重试。",
  notLoaded: "尚未能加载，正在继续重试。",
  paused: "似乎无人操作，已暂停更新。您回来后自动继续。",

  pools: "密钥池", pool: "密钥池", newPool: "新建密钥池", createPool: "创建密钥池", noPools: "还没有密钥池。",
  deletedPools: "总数中还包含已删除密钥池的 {requests} 次请求。",
  state: "状态", on: "启用", off: "停用", keys: "密钥", requests: "请求数", success: "成功率", failures: "失败", failed: "失败率", attempts: "调用数", refused: "拒绝率", tokens: "Token 数",
  requestsToday: "今日请求", tokensToday: "今日输入 Token", requestsPerMinute: "请求/分钟", attemptsPerMinute: "调用/分钟", tokensPerMinute: "输入 Token/分钟",
  promptTokens: "输入 Token", answerTokens: "输出 Token", now: "本分钟 {count}", inAll: "累计",
  lost: "有 {count} 次调用未能计入。", lostRequests: "有 {count} 个请求未能计入。",
  keysUsable: "{total} 个中 {usable} 个正常", keysUnknown: "{total} 个，状态未知",
  store: "存储", ledger: "账本", encryption: "加密", "health.degraded": "服务受限运行。", "health.failing": "服务运行异常。",
  "health.unknown": "服务状态未知。",

  name: "名称", description: "描述", allowedModels: "允许的模型", modelsHint: "每行一个；* 代表任意内容。留空：全部。",
  geminiKeys: "Gemini 密钥", keysHint: "每行一个，或用逗号分隔，或 密钥,权重,标签,名称。以 # 开头的行会跳过。",
  defaultWeight: "权重", weight: "权重",
  weightHint: "0 到 1000：流量份额，用于未自带权重的密钥。0：仅在没有其他密钥时使用。",
  keyShort: "对 Gemini 密钥来说太短", keyLong: "对 Gemini 密钥来说太长", keyCharacter: "含有 Gemini 密钥中不存在的字符",
  keyMasked: "这是打码后的密钥，不是密钥本身", keyOwn: "这是密钥池服务的客户端密钥或管理令牌，不是 Gemini 密钥",
  keyPem: "这是私钥或证书（PEM），不是 API 密钥", keyJson: "看起来是 JSON，但格式不正确",
  keyJsonNone: "JSON 中没有 Gemini 密钥：应为密钥数组，或含有“key”成员的对象",
  keyServiceAccount: "这是服务账号或 OAuth 文件，不是 API 密钥",
  keyColumns: "列数多于 密钥,权重,标签,名称", keyWeight: "权重不是 0 到 1000 的整数",
  imported: "新增 {added} 个，已有或重复 {duplicate} 个，拒绝 {malformed} 个。", lineProblem: "第 {line} 行：{reason}",
  refusedLines: "未添加的内容，可修改后再试", poolCreated: "密钥池“{name}”已就绪", shownOnce: "这是该池的客户端密钥。请立即复制：仅显示这一次。",
  baseUrl: "客户端的 Base URL", poolId: "ID", created: "创建时间", editPool: "编辑“{name}”",
  askGemini: "向 Gemini 查询可用模型", sticky: "粘性：同一用户的请求使用同一密钥",
  passThrough: "直通：Gemini 原生格式的请求原样转发给 Gemini",
  aliases: "别名", aliasesHint: "别名 = 模型，每行一个", fallbacks: "备用模型", fallbacksHint: "模型 = 备用一, 备用二；每行一个。* 代表所有模型。",
  translation: "转换设置", translationHint: "JSON；删去的字段恢复默认值。各字段说明见 docs/translation.md。",
  notAPair: "不是“名称 = 值”的形式：{line}", notAnObject: "转换设置不是 JSON 对象。",
  disablePool: "停用该密钥池？", disablePoolAsk: "在重新启用之前，“{name}”的客户端将被拒绝。",
  deletePool: "删除该密钥池？", deletePoolAsk: "“{name}”及其 {keys} 个 Gemini 密钥和所有客户端密钥将永久删除。", deleted: "“{name}”已删除。",
  "section.overview": "概览", "section.keys": "Gemini 密钥", "section.client-keys": "客户端密钥",

  period: "时段", "span.hour": "最近一小时", "span.day": "最近 24 小时", "span.month": "最近 30 天", "span.all": "累计",
  traffic: "流量", models: "模型", model: "模型", half: "耗时中位数", nearlyAll: "95% 不超过", nothingYet: "暂无数据。",
  requestOutcomes: "请求结果", outcomes: "调用结果", outcome: "结果", lately: "最近的问题", time: "时间", key: "密钥", message: "消息",
  "chart.minute": "每分钟请求数，最高 {most}", "chart.hour": "每小时请求数，最高 {most}", "chart.day": "每日请求数，最高 {most}",
  "outcome.ok": "已答复", "outcome.client_left": "客户端离开", "outcome.caller": "请求被拒", "outcome.key": "密钥被拒",
  "outcome.quota": "配额用尽", "outcome.model": "模型过载", "outcome.internal": "内部错误", "outcome.egress": "地区不支持", "outcome.network": "网络",
  "outcome.soft_failure": "空答复", "outcome.unknown": "未知",
  failing: "持续失败（{attempts} 次中 {failed} 次：{outcome}）",
  "request.ok": "完整响应", "request.client_disconnected": "客户端断开", "request.invalid_request": "请求无效",
  "request.rate_limited": "达到客户端密钥限额", "request.quota_exhausted": "配额用尽", "request.server_error": "服务器错误",
  "request.truncated": "响应中断", "request.unknown": "未知",

  addKeys: "添加密钥", searchKeys: "按名称、标签或密钥搜索", allStates: "所有状态", noKeys: "该池还没有密钥。", noKeysFound: "没有符合条件的密钥。",
  selectAll: "全选显示的 {count} 个", selectKey: "选择 {key}", selected: "已选 {count} 个", noneSelected: "未选择密钥", selectedKeys: "所选密钥",
  lastUsed: "最近使用", range: "第 {from}–{to} 个，共 {total} 个", previous: "上一页", next: "下一页", noMorePages: "没有更多页",
  resetKeys: "重置密钥？", resetKeysAsk: "{count} 个密钥及其项目的冷却、状态和已获知的限额将在所有实例中清除。",
  keysChanged: "已更改 {count} 个密钥。", keysUnchanged: "{count} 个原本如此。", disableKeys: "停用密钥？", disableKeysAsk: "{count} 个密钥将停止使用，直到重新启用。",
  deleteKeys: "删除密钥？", deleteKeysAsk: "{count} 个密钥将永久删除。", weightOf: "{count} 个密钥的权重",
  copyKeys: "复制密钥", copyKeysAsk: "将读取 {count} 个密钥的明文。此操作会记入审计日志。", readKeys: "读取密钥", keysRead: "已读取 {count} 个密钥，每行一个。",
  checkKeys: "检测密钥", checkKeysText: "将用 {count} 个密钥各发送一个最小请求。关闭即停止。", verdict: "结论",
  editKey: "编辑 {key}", tag: "标签", tagHint: "便于一起查找密钥。", project: "Google 项目", projectHint: "同一项目的密钥共享配额。",
  "state.healthy": "正常", "state.cooling": "冷却中", "state.limited": "受限", "state.suspect": "可疑", "state.invalid": "无效",
  "state.leaked": "已泄露", "state.suspended": "已暂停", "state.billing": "需付费", "state.blocked": "被阻止", "state.disabled": "停用", "state.unknown": "未知",
  rechecked: "（{time}复查）", "reason.spend": "消费上限", "reason.requests": "请求数", "reason.tokens": "Token 数", "reason.day": "当日配额", "reason.no_quota": "无配额", "reason.burst": "突发",
  "reason.new_users": "不对新用户开放", "reason.no_access": "无权使用该模型", "reason.permission": "没有权限", "reason.service_disabled": "API 未启用", "reason.billing_disabled": "结算已停用",
  "reason.consumer_invalid": "项目未知", "reason.service_blocked": "密钥不允许使用该 API", "reason.referrer": "来源页不允许",
  "reason.address": "地址不允许", "reason.app": "应用不允许",
  "verdict.valid": "有效", "verdict.limited": "有效，配额用尽", "verdict.invalid": "无效", "verdict.suspended": "已暂停", "verdict.blocked": "被阻止",
  "verdict.billing": "需付费", "verdict.leaked": "已泄露", "verdict.error": "错误", "verdict.unreachable": "无响应", "verdict.malformed": "不是密钥", "verdict.unknown": "未知",

  clientKey: "客户端密钥", newClientKey: "新建客户端密钥", noClientKeys: "还没有客户端密钥：无人可使用该池。",
  unnamed: "未命名", weak: "弱", ends: "到期", ended: "已到期", never: "永不", none: "无", all: "全部",
  limits: "限额", rpm: "请求/分钟", rpd: "请求/天", tpm: "Token/分钟", tpd: "Token/天", limitsHint: "留空：不限。每日以加州午夜为界。",
  networks: "网络", networksHint: "如 192.0.2.0/24，每行一个。留空：全部。",
  endsAfterDays: "多少天后到期", emptyForNever: "留空：永不到期。", emptyForAsIs: "从现在算起。留空：保持不变。", endsAt: "{time} 到期。", endsNever: "永不到期。",
  editClientKey: "编辑 {key}", rotateClientKey: "轮换 {key}", rotateText: "将由规则相同的新客户端密钥取代。",
  graceHours: "旧密钥继续有效的小时数", graceHint: "0 到 720。", revokeClientKey: "吊销客户端密钥？", revokeAsk: "{key} 将立即失效。",
};

export const TEXTS = { en, zh };

let chosen = read();
speak();

function read() {
  const remembered = globalThis.localStorage?.getItem("language");
  if (remembered === "en" || remembered === "zh") return remembered;
  return globalThis.navigator?.language?.toLowerCase().startsWith("zh") ? "zh" : "en";
}

/** Tells the browser which language the page is in. */
function speak() {
  if (globalThis.document) document.documentElement.lang = TEXTS[chosen].lang;
}

/** `en` or `zh`. */
export const language = () => chosen;

/** The browser's own kind of the language, for numbers and times: `en-GB`. */
export const locale = () => [...navigator.languages].find((name) => name.toLowerCase().startsWith(chosen)) ?? chosen;

/** @param {"en" | "zh"} next */
export function setLanguage(next) {
  chosen = next;
  speak();
  localStorage.setItem("language", next);
}

/**
 * A text. What a newer service names and this page does not know is shown by its name.
 * @param {string} name
 * @param {Record<string, any>} [values]
 * @returns {string}
 */
export function t(name, values = {}) {
  const text = TEXTS[chosen][name] ?? name.replace(/^[a-z]+\./, "");
  return text.replace(/\{(\w+)\}/g, (whole, value) => (value in values ? String(values[value]) : whole));
}
