-- Asks bucketring whether a request may pass, and answers the client if not.
-- haproxy.cfg calls it with the namespace of a policy:
--
--     http-request lua.bucketring site

-- It asks by way of the listener that haproxy.cfg has for this, which knows the nodes
-- and which of them are well.

local limiter = os.getenv("LIMITER_URL")

-- What bucketring says of a request that passes, and the variable for each.
local told = {
    ["x-ratelimit-limit"] = "txn.rl_limit",
    ["x-ratelimit-remaining"] = "txn.rl_remaining",
    ["x-ratelimit-reset"] = "txn.rl_reset",
    ["ratelimit-policy"] = "txn.rl_policy", -- these two of policies with style ietf or both
    ["ratelimit"] = "txn.rl_state",
}

-- Headers of a connection, which say nothing about the request.
local hops = {
    ["connection"] = true, ["content-length"] = true, ["transfer-encoding"] = true,
    ["expect"] = true, ["te"] = true, ["trailer"] = true, ["upgrade"] = true,
    ["keep-alive"] = true, ["proxy-connection"] = true, ["date"] = true,
}

-- question returns the headers of what bucketring is asked: those of the client, from
-- which the policy reads who it is, and what the proxy knows itself. A client's own
-- X-Forwarded headers are replaced.
local function question(txn)
    local headers = {}
    for name, values in pairs(txn.http:req_get_headers()) do
        if not hops[name] and name:sub(1, 12) ~= "x-forwarded-" then
            headers[name] = {}
            for i = 0, #values do -- HAProxy counts them from 0
                table.insert(headers[name], values[i])
            end
        end
    end
    headers["x-forwarded-method"] = { txn.f:method() }
    headers["x-forwarded-uri"] = { txn.f:pathq() }
    headers["x-forwarded-for"] = { tostring(txn.f:src()) }
    local length = txn.f:req_hdr("content-length")
    if length and length ~= "" then
        headers["x-forwarded-content-length"] = { length }
    end
    return headers
end

-- refuse answers the client as the policy words it.
local function refuse(txn, answer)
    local reply = txn:reply({ status = answer.status, body = answer.body })
    for name, values in pairs(answer.headers) do
        if not hops[name] then
            for _, value in pairs(values) do
                reply:add_header(name, value)
            end
        end
    end
    txn:done(reply)
end

core.register_action("bucketring", { "http-req" }, function(txn, namespace)
    local answer = core.httpclient():get({
        url = limiter .. "/v1/forward-auth?length=1&namespace=" .. namespace,
        headers = question(txn),
        timeout = 1000, -- milliseconds; the listener gives up earlier
    })
    if not answer or answer.status == 0 or answer.status >= 500 then
        -- A limiter that is away or slow lets requests pass; haproxy.cfg may refuse them.
        txn:set_var("txn.rl_away", true)
        return
    end
    if answer.status ~= 200 then
        refuse(txn, answer)
        return
    end
    for name, variable in pairs(told) do
        local values = answer.headers[name]
        if values then
            txn:set_var(variable, values[0])
        end
    end
end, 1)
