-- Answers a request in ipwarden's words, when it must not go on: the agent's
-- variables have the status, where to go, and the page or problem document.
core.register_service("ipwarden", "http", function(applet)
    local function var(name)
        return applet:get_var("txn.ipwarden." .. name)
    end
    local body = var("body") or ""
    applet:set_status(var("status") or 403)
    applet:add_header("Cache-Control", "no-store")
    applet:add_header("Vary", "Accept")
    applet:add_header("Content-Length", #body)
    if var("location") then
        applet:add_header("Location", var("location"))
    end
    if var("retry_after") then
        applet:add_header("Retry-After", var("retry_after"))
    end
    if var("type") then
        applet:add_header("Content-Type", var("type"))
        applet:add_header("X-Content-Type-Options", "nosniff")
    end
    applet:start_response()
    if applet.method ~= "HEAD" then
        applet:send(body)
    end
end)
