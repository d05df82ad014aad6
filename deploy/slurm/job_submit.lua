-- Slurm job_submit plugin: refuses, holds or routes GPU jobs of users with an open case of hashwarden.
--
-- The agent keeps CASES, one case a line, each with an end, so that an agent that died keeps nobody out for ever:
--     UID CASE UNTIL WHAT
-- UNTIL in seconds since 1970; WHAT is "refuse", "hold", or "route:PARTITION". Files of several nodes are put one after
-- the other. Keep it on a local disk: slurmctld waits for this script while it holds its locks.
--
-- Never blocks submission: without the file, with one that makes no sense, or after any error, jobs pass as they are.

local CASES = "/var/lib/hashwarden/slurm/open-cases"
local GPUS_ONLY = true      -- false: all jobs of these users
local CONTACT = "your cluster's support"
local MOST_BYTES = 1048576
local NO_VAL = slurm.NO_VAL or 4294967294 -- what Slurm calls a number that is not given

local function wants_gpu(job)
    for _, field in ipairs({"tres_per_job", "tres_per_node", "tres_per_socket", "tres_per_task", "gres"}) do
        local value = job[field]
        if type(value) == "string" and value:lower():find("gpu", 1, true) then return true end
        if type(value) == "string" and value:lower():find("shard", 1, true) then return true end
        if type(value) == "string" and value:lower():find("mps", 1, true) then return true end
    end
    return false
end

-- The first case of a user that is not over: its name and what to do; nil without one.
local function open_case(uid)
    local file = io.open(CASES, "r")
    if file == nil then return nil end
    local text = file:read(MOST_BYTES) or ""
    file:close()
    local now = os.time()
    for line in text:gmatch("[^\n]+") do
        local who, case, ends, what = line:match("^(%d+) ([%w_.:-]+) (%d+) ([%w_.:-]+)$")
        if who and tonumber(who) == uid and now < tonumber(ends) then return case, what end
    end
    return nil
end

local function judge(job, partitions)
    local uid = tonumber(job.user_id)
    if uid == nil or uid == 0 or (GPUS_ONLY and not wants_gpu(job)) then return slurm.SUCCESS end
    local case, what = open_case(uid)
    if case == nil then return slurm.SUCCESS end
    local partition = what:match("^route:(.+)$")
    if what == "refuse" then
        slurm.log_user("Case %s on your GPU use is open: new GPU jobs are refused. Ask %s.", case, CONTACT)
        return slurm.ERROR
    elseif what == "hold" then
        job.priority = 0
        slurm.log_user("Case %s on your GPU use is open: the job is held. Ask %s.", case, CONTACT)
    elseif partition and partitions and partitions[partition] then
        job.partition = partition
        slurm.log_user("Case %s on your GPU use is open: the job goes to %s. Ask %s.", case, partition, CONTACT)
    end
    return slurm.SUCCESS
end

-- What was refused, held or routed is not won back by changing a job afterwards. A job that is held here has a user's
-- hold, which its owner could release: that sets a priority. Operators may do what Slurm lets them.
local function judge_change(job, record, modify_uid)
    local priority = tonumber(job.priority) or NO_VAL
    local releases = priority ~= 0 and priority ~= NO_VAL
    if modify_uid ~= tonumber(record.user_id) then return slurm.SUCCESS end
    if not (releases or job.partition ~= nil or wants_gpu(job)) then return slurm.SUCCESS end
    local case = open_case(tonumber(record.user_id))
    if case == nil then return slurm.SUCCESS end
    slurm.log_user("Case %s on your GPU use is open: GPUs, partition and holds stay as they are. Ask %s.", case, CONTACT)
    return slurm.ERROR
end

local function guarded(judge_it, ...)
    local fine, result = pcall(judge_it, ...)
    if fine then return result end
    pcall(slurm.log_info, "hashwarden: job_submit let a job pass after an error: %s", tostring(result))
    return slurm.SUCCESS
end

function slurm_job_submit(job, partitions, submit_uid)
    return guarded(judge, job, partitions)
end

function slurm_job_modify(job, record, partitions, modify_uid)
    return guarded(judge_change, job, record, modify_uid)
end

return slurm.SUCCESS
